//! The rights of a role as rules of rmqtt's access control, for `rules` in `rmqtt-acl.toml`.
//!
//! A rule has the password in clear, and names one client id, not a pattern. rmqtt compares a
//! subscription's filter with a rule's filters as it does a topic.

use toml::Value;

use super::rights::Rights;
use crate::mqtt::role::Role;
use crate::mqtt::topics::Topics;

/// The client ids that a login may use: with another one it could end another client's connection and take
/// its session over. `None` for head office, whose commands have one of their own each time.
pub fn client_ids(role: Role, name: &str, user: &str, topics: &Topics) -> Option<Vec<String>> {
    match role {
        Role::Gateway => Some(vec![topics.client_id(name), topics.office_client_id(name)]),
        Role::HeadOffice => None,
        Role::Tablet | Role::Reader => Some(vec![user.to_owned()]),
    }
}

/// The rules of `user`, a line each.
pub fn rules(rights: &Rights, user: &str, password: &str, client_ids: Option<&[String]>) -> String {
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    let (user, password) = (quoted(user), quoted(password));
    let connect = |id: String| {
        format!("[\"allow\", {{ user = {user}, password = {password}{id} }}, \"connect\"],\n")
    };
    let id = |id: &String| connect(format!(", clientid = {}", quoted(id)));
    let mut text =
        client_ids.map_or_else(|| connect(String::new()), |ids| ids.iter().map(id).collect());
    let mut rule = |access: &str, action: &str, filters: Vec<String>| {
        if !filters.is_empty() {
            let filters = filters.join(", ");
            text.push_str(&format!(
                "[\"{access}\", {{ user = {user} }}, \"{action}\", [{filters}]],\n"
            ));
        }
    };
    let all = |filters: &[String]| filters.iter().map(|filter| quoted(filter)).collect();
    // The `+` of a rule lets a filter with `#` through.
    let wider = rights.reads().iter().filter_map(|filter| filter.strip_suffix('+'));
    let wider = wider.map(|before| format!("{{ eq = {} }}", quoted(&format!("{before}#"))));
    rule("deny", "subscribe", wider.collect());
    rule("allow", "subscribe", all(rights.reads()));
    rule("allow", "publish", all(rights.writes()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_connects_as_itself_and_has_the_rights_of_its_role() {
        let topics = Topics::of(42);
        let rights = Rights::of(Role::Gateway, "door", &topics);
        let ids = client_ids(Role::Gateway, "door", "42-\"door\"", &topics);
        let rules = rules(&rights, "42-\"door\"", "secret", ids.as_deref());
        let rules: toml::Table = toml::from_str(&format!("rules = [\n{rules}]\n")).unwrap();
        let rules = rules["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 4, "{rules:?}");
        assert_eq!(rules[0][1]["user"].as_str(), Some("42-\"door\""));
        assert_eq!(rules[1][1]["clientid"].as_str(), Some("grelot-42-door-office"));
        assert_eq!(rules[2][3].as_array().unwrap().len(), rights.reads().len());
        assert_eq!(rules[3][3].as_array().unwrap().len(), rights.writes().len());
    }
}
