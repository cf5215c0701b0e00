//! The names of resources in a document: what generators of clients make types and
//! functions of.
//!
//! `class-rooms` is `listClassRooms`, `createClassRoom`, and a `ClassRoom`.

use std::collections::BTreeSet;

pub struct Names {
    taken: BTreeSet<String>,
}

/// A resource's, with capitals: `ClassRooms` and `ClassRoom`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub many: String,
    pub one: String,
}

impl Name {
    pub fn list(&self) -> String {
        format!("list{}", self.many)
    }

    pub fn operation(&self, verb: &str) -> String {
        format!("{verb}{}", self.one)
    }

    /// What a client sends to make one, and to change one.
    pub fn new_one(&self) -> String {
        format!("New{}", self.one)
    }

    pub fn change(&self) -> String {
        format!("{}Change", self.one)
    }

    /// The fields of one that were asked for.
    pub fn part(&self) -> String {
        format!("{}Part", self.one)
    }

    fn all(&self) -> Vec<String> {
        let verbs = ["create", "get", "update", "delete", "restore"];
        let mut all: Vec<String> = verbs.map(|verb| self.operation(verb)).into();
        all.extend([
            self.list(),
            self.one.clone(),
            self.new_one(),
            self.change(),
            self.part(),
        ]);
        all
    }
}

impl Names {
    /// With the names of operations and schemas that the fixed routes have.
    pub fn new(taken: impl IntoIterator<Item = String>) -> Self {
        Self {
            taken: taken.into_iter().collect(),
        }
    }

    /// The names of a resource: of `student` and `students`, the first that asks gets them.
    pub fn of_resource(&mut self, resource: &str) -> Name {
        let many = capitals(resource);
        let one = singular(&many);
        let rows = format!("{many}Row");
        let numbered = (2..).map(|number| format!("{many}{number}"));
        let ones = [one, many.clone(), rows].into_iter().chain(numbered);
        for one in ones {
            let suffix = one.strip_prefix(&many).unwrap_or_default();
            let name = Name {
                many: format!("{many}{suffix}"),
                one,
            };
            let all = name.all();
            if !all.iter().any(|name| self.taken.contains(name)) {
                self.taken.extend(all);
                return name;
            }
        }
        unreachable!("numbers go on")
    }

    /// The name of the operation that calls a function.
    pub fn of_function(&mut self, function: &str) -> String {
        let name = format!("call{}", capitals(function));
        let numbered = (2..).map(|number| format!("{name}{number}"));
        let mut names = [name.clone()].into_iter().chain(numbered);
        let free = names.find(|name| self.taken.insert(name.clone()));
        free.unwrap_or(name)
    }
}

/// `class-rooms` with capitals: `ClassRooms`.
pub fn capitals(name: &str) -> String {
    let words = name.split(|sign: char| !sign.is_ascii_alphanumeric());
    words
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

/// As a clerk would do it, who knows no irregular words.
pub fn singular(word: &str) -> String {
    let stem = |end: &str, with: &str| Some(format!("{}{with}", word.strip_suffix(end)?));
    let is_short = word.len() < 4;
    let es = ["sses", "xes", "ches", "shes", "zes"];
    let singular = if is_short || word.ends_with("ss") || word.ends_with("us") {
        None
    } else if es.iter().any(|end| word.ends_with(end)) {
        stem("es", "")
    } else {
        stem("ies", "y").or_else(|| stem("s", ""))
    };
    singular.unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_called_by_its_singular() {
        for (many, one) in [
            ("Students", "Student"),
            ("Classes", "Class"),
            ("Boxes", "Box"),
            ("Companies", "Company"),
            ("Status", "Status"),
            ("Address", "Address"),
            ("Staff", "Staff"),
            ("Gas", "Gas"),
        ] {
            assert_eq!(singular(many), one);
        }
    }

    #[test]
    fn names_have_capitals_where_words_begin() {
        assert_eq!(capitals("class-rooms_2"), "ClassRooms2");
        assert_eq!(capitals("a--b_"), "AB");
    }

    #[test]
    fn no_two_resources_share_a_name() {
        let mut names = Names::new(["updateMember".to_owned()]);
        let one = |names: &mut Names, resource| names.of_resource(resource).operation("update");
        assert_eq!(one(&mut names, "members"), "updateMembers");
        assert_eq!(one(&mut names, "students"), "updateStudent");
        assert_eq!(one(&mut names, "student"), "updateStudentRow");
        assert_eq!(one(&mut names, "tall-boys"), "updateTallBoy");
        assert_eq!(one(&mut names, "tall_boys"), "updateTallBoysRow");
        assert_eq!(one(&mut names, "tall--boys"), "updateTallBoys2");
        assert_eq!(names.of_function("enrol"), "callEnrol");
        assert_eq!(names.of_function("e_nrol"), "callENrol");
        assert_eq!(names.of_function("en-rol"), "callEnRol");
        assert_eq!(names.of_function("en_rol"), "callEnRol2");
    }
}
