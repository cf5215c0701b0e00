"""Whether a description is OpenAPI 3.1, and its examples are what it says.

    python validate.py http://127.0.0.1:3000/openapi.json
"""

import json
import sys
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

HERE = "urn:description"


def examples_of(part):
    """Each schema with an example of it, wherever it stands."""
    if isinstance(part, list):
        for item in part:
            yield from examples_of(item)
    elif isinstance(part, dict):
        schema = part.get("schema")
        if isinstance(schema, dict) and isinstance(part.get("examples"), dict):
            for example in part["examples"].values():
                yield schema, example["value"]
        if isinstance(part.get("examples"), list):
            for example in part["examples"]:
                yield part, example
        for name, value in part.items():
            if name != "examples":
                yield from examples_of(value)


def absolute(part):
    """The same, with references that lead into the description from anywhere."""
    if isinstance(part, list):
        return [absolute(item) for item in part]
    if isinstance(part, dict):
        return {
            name: HERE + value if name == "$ref" else absolute(value)
            for name, value in part.items()
        }
    return part


def faults(description):
    for error in OpenAPIV31SpecValidator(description).iter_errors():
        yield f"{'/'.join(map(str, error.path))}: {error.message}"
    registry = Registry().with_resource(
        HERE, Resource.from_contents(description, default_specification=DRAFT202012)
    )
    examples = list(examples_of(description))
    if not examples:
        yield "there is no example"
    for schema, example in examples:
        validator = Draft202012Validator(absolute(schema), registry=registry)
        for error in validator.iter_errors(example):
            yield f"example {json.dumps(example)}: {error.message}"


def main():
    with urllib.request.urlopen(sys.argv[1]) as answer:
        description = json.load(answer)
    found = list(faults(description))
    if not description["openapi"].startswith("3.1."):
        found.append("it is another version")
    if found:
        sys.exit("\n".join(found))
    print(f"A valid description of {len(description['paths'])} paths.")


main()
