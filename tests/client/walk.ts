/*
 * The walk through the API with a generated client: two customers, whose rows don't
 * meet. It compiles only if the description has the types that it uses, and ends with
 * an error at the first answer that isn't as it should be.
 */

import assert from "node:assert/strict";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./api.js";

type Api = Client<paths>;
type Task = components["schemas"]["Task"];

const baseUrl = process.env["API"] ?? "http://127.0.0.1:3000";
const open: Api = createClient<paths>({ baseUrl });

/** What an answer holds, if it has this status. */
function expect<T>(answer: { data?: T; error?: unknown; response: Response }, status: number): T {
  assert.equal(answer.response.status, status, JSON.stringify(answer.error));
  return answer.data as T;
}

/** The code of a problem of this status. */
function refusal(answer: { error?: { code: string }; response: Response }, status: number): string {
  assert.equal(answer.response.status, status);
  assert.ok(answer.error);
  return answer.error.code;
}

/** Somebody who has registered a tenant and logged in. */
async function owner(tenantName: string): Promise<Api> {
  const email = `owner@${tenantName.toLowerCase()}.example`;
  const password = "password123";
  const made = await open.POST("/tenants/register", { body: { tenantName, email, password } });
  assert.equal(expect(made, 201).tenant.name, tenantName);
  const login = await open.POST("/auth/login", { body: { email, password } });
  const token = expect(login, 200).access_token;
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
}

async function addTask(api: Api, body: components["schemas"]["NewTask"]): Promise<Task> {
  const made = expect(await api.POST("/tasks", { body }), 201);
  assert.ok(!Array.isArray(made));
  return made;
}

const acme = await owner("Walkers");
const globex = await owner("Runners");

// Without a token: nothing. With one: who one is.
assert.equal(refusal(await open.GET("/tasks"), 401), "unauthorized");
assert.equal(expect(await acme.GET("/me"), 200).role, "owner");

// Make three, one of them by an array.
const milk = await addTask(acme, { title: "Buy milk" });
await addTask(acme, { title: "Drink milk", status: "done" });
const several = expect(await acme.POST("/tasks", { body: [{ title: "Call the cow" }] }), 201);
assert.ok(Array.isArray(several) && several.length === 1);

// Lists, with a filter, and a page after another by its cursor.
const done = await acme.GET("/tasks", { params: { query: { id: milk.id, count: "exact" } } });
assert.deepEqual(expect(done, 200).data.map((task) => task.title), ["Buy milk"]);
assert.equal(expect(done, 200).total, 1);
const titles: (string | undefined)[] = [];
let cursor: string | undefined;
do {
  const query = { limit: 2, ...(cursor === undefined ? {} : { cursor }) };
  const page = expect(await acme.GET("/tasks", { params: { query } }), 200);
  titles.push(...page.data.map((task) => task.title));
  cursor = page.nextCursor;
} while (cursor !== undefined);
assert.deepEqual(titles, ["Call the cow", "Drink milk", "Buy milk"]);

// Some fields alone; what the client has already isn't sent again.
const path = { id: milk.id };
const some = await acme.GET("/tasks/{id}", { params: { path, query: { fields: ["title"] } } });
assert.deepEqual(expect(some, 200), { title: "Buy milk" });
const known = await acme.GET("/tasks/{id}", { params: { path } });
assert.equal(expect(known, 200).title, "Buy milk");
const tag = known.response.headers.get("ETag") ?? "";
const header = { "If-None-Match": tag };
expect(await acme.GET("/tasks/{id}", { params: { path, header } }), 304);

// A change that knows what it changes, and one that doesn't any more.
const params = { path, header: { "If-Match": tag } };
const changed = await acme.PATCH("/tasks/{id}", { params, body: { status: "done" } });
assert.equal(expect(changed, 200)?.status, "done");
const late = await acme.PATCH("/tasks/{id}", { params, body: { status: "todo" } });
assert.equal(refusal(late, 412), "TN414");

// Another tenant's row is not there.
assert.equal(refusal(await globex.GET("/tasks/{id}", { params: { path } }), 404), "not_found");
assert.equal(refusal(await globex.DELETE("/tasks/{id}", { params: { path } }), 404), "not_found");
assert.deepEqual(expect(await globex.GET("/tasks"), 200).data, []);

// Gone is gone.
expect(await acme.DELETE("/tasks/{id}", { params: { path } }), 204);
assert.equal(refusal(await acme.GET("/tasks/{id}", { params: { path } }), 404), "not_found");

console.log("The walk went well.");
