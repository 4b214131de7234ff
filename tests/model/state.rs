//! A model of the contract in memory: the expected response to each call, and its effect.

use std::collections::{BTreeMap, HashMap};

use customer_groups::testing::{Field, GroupId};
use serde_json::{Map, Value, json};

use super::violation::{Violations, check_key, check_list, check_page, check_text};
use crate::contract::{ApiError, Call, CallOptions, Filter, Page};

/// The fields that a caller sets, in the documented order.
pub const MUTABLE: [&str; Field::EDITABLE.len()] = {
    let mut names = [""; Field::EDITABLE.len()];
    let mut position = 0;
    while position < names.len() {
        names[position] = Field::EDITABLE[position].name();
        position += 1;
    }
    names
};

/// A group as REST returns it, without its etag.
pub type Object = Map<String, Value>;

/// All groups, and the recorded idempotency keys.
#[derive(Debug, Default)]
pub struct Model {
    pub(super) groups: BTreeMap<String, Object>,
    /// The ids of all groups that ever existed, oldest first.
    pub(super) ids: Vec<String>,
    /// The request and the created ids for each idempotency key.
    pub(super) keys: HashMap<String, (Value, Vec<String>)>,
}

impl Model {
    /// The expected response. Ids and times that only the service can choose are taken from its response.
    pub fn response(&mut self, call: &Call, with: &CallOptions, given: &Value) -> Result<Value, ApiError> {
        match call {
            Call::Get(id) => self.find(id).map(with_etag),
            Call::List(page) => self.list(&Filter::default(), page),
            Call::Filtered(filter, page) => self.list(filter, page),
            Call::Create(body) => self.create(body, with, given),
            Call::Update(id, body) => self.update(id, body, with, given, None),
            Call::Masked(id, body, paths) => self.update_masked(id, body, paths, with, given),
            Call::Delete(id) => self.delete(id, with),
            Call::BatchCreate(entries) => self.batch_create(entries, with, given),
            Call::BatchGet(ids) => self.batch_get(ids),
            Call::Children(id, page) => {
                check_page(page)?;
                self.find(id)?;
                Ok(part_by_id(self.children(id), page))
            }
            Call::Ancestors(id, page) => self.tree_list(id, page, Self::ancestors),
            Call::Descendants(id, page) => self.tree_list(id, page, Self::descendants),
            Call::StreamDescendants(id, page) => {
                let list = self.tree_list(id, page, Self::descendants)?;
                Ok(json!({"data": list["data"]}))
            }
            Call::Malformed => Err(refusal("body_malformed")),
            Call::UnknownRoute => Err(refusal("route_unknown")),
            Call::TooLarge | Call::Http(..) | Call::Post(..) => panic!("the model has no {call:?}"),
        }
    }

    /// All groups, newest first.
    pub fn all(&self) -> impl Iterator<Item = &Object> {
        self.groups.values().rev()
    }

    /// The etag of a group, if it exists.
    pub fn etag(&self, id: &str) -> Option<String> {
        self.groups.get(id).map(etag)
    }

    pub(super) fn find(&self, id: &str) -> Result<Object, ApiError> {
        self.groups.get(id).cloned().ok_or_else(|| refusal("resource_missing"))
    }

    fn list(&self, filter: &Filter, page: &Page) -> Result<Value, ApiError> {
        check_list(filter, page)?;
        let limit = page.limit.unwrap_or(20).min(1000);
        let page = Page { limit: Some(limit), ..page.clone() };
        Ok(part_by_id(self.all().filter(|group| is_kept(group, filter)).cloned().collect(), &page))
    }

    fn children(&self, id: &str) -> Vec<Object> {
        self.all().filter(|group| group["parent_id"] == id).cloned().collect()
    }

    fn ancestors(&self, id: &str) -> Vec<Object> {
        let above = |group: &Object| self.groups.get(group["parent_id"].as_str()?).cloned();
        std::iter::successors(above(&self.groups[id]), above).collect()
    }

    fn descendants(&self, id: &str) -> Vec<Object> {
        let mut met = self.children(id);
        let mut next = 0;
        while let Some(group) = met.get(next) {
            met.extend(self.children(group["id"].as_str().unwrap()));
            next += 1;
        }
        met
    }

    fn tree_list(
        &self,
        id: &str,
        page: &Page,
        list: fn(&Self, &str) -> Vec<Object>,
    ) -> Result<Value, ApiError> {
        check_page(page)?;
        self.find(id)?;
        let list = list(self, id);
        let start = match &page.starting_after {
            None => 0,
            Some(after) => {
                let at = list.iter().position(|group| group["id"] == after.as_str());
                1 + at.ok_or_else(|| Violations::one("starting_after", "parameter_invalid"))?
            }
        };
        let total = list.len();
        Ok(part(list[start..].to_vec(), page, total))
    }

    fn create(&mut self, body: &Value, with: &CallOptions, given: &Value) -> Result<Value, ApiError> {
        let mut found = self.check_body(body, None);
        found.check_new(body);
        check_key(with, &mut found);
        // A replay comes before the check that the parent exists.
        let parent_only = found.is_only_unknown_parent(body);
        if !parent_only {
            found.refuse()?;
        }
        let asked = set(&blank(), body);
        if let Some(ids) = self.replay(with, &Value::Object(asked.clone()))? {
            let mut object = with_etag(created(&asked, &ids[0]));
            object["replayed"] = json!(true);
            return Ok(object);
        }
        found.refuse()?;
        let object = self.keep_new(&asked, given);
        self.remember(with, Value::Object(asked), vec![object["id"].as_str().unwrap_or_default().to_owned()]);
        let mut object = with_etag(object);
        object["replayed"] = json!(false);
        Ok(object)
    }

    /// The ids that an earlier create under the same key made, if its request was the same.
    pub(super) fn replay(&self, with: &CallOptions, asked: &Value) -> Result<Option<Vec<String>>, ApiError> {
        let earlier = with.idempotency_key.as_ref().and_then(|key| self.keys.get(key));
        match earlier {
            None => Ok(None),
            Some((same, ids)) if same == asked => Ok(Some(ids.clone())),
            Some(_) => Err(refusal("idempotency_key_reused")),
        }
    }

    pub(super) fn remember(&mut self, with: &CallOptions, asked: Value, ids: Vec<String>) {
        if let Some(key) = &with.idempotency_key {
            self.keys.insert(key.clone(), (asked, ids));
        }
    }

    /// Stores a new group under the id from the service, which is greater than all before.
    pub(super) fn keep_new(&mut self, asked: &Object, given: &Value) -> Object {
        let id = given["id"].as_str().unwrap_or_default().to_owned();
        assert!(self.ids.last().is_none_or(|last| *last < id), "{id} is not after {:?}", self.ids.last());
        let object = created(asked, &id);
        self.groups.insert(id.clone(), object.clone());
        self.ids.push(id);
        object
    }

    fn update(
        &mut self,
        id: &str,
        body: &Value,
        with: &CallOptions,
        given: &Value,
        wrong: Option<(&str, &'static str)>,
    ) -> Result<Value, ApiError> {
        let old = self.find(id)?;
        let mut found = self.check_body(body, Some(id));
        if let Some((field, code)) = wrong {
            found.add(field, code);
        }
        found.refuse()?;
        check_etag(&old, with)?;
        if MUTABLE.iter().all(|field| body.get(field).is_none()) {
            return Ok(with_etag(old));
        }
        let mut new = set(&old, body);
        let time = given["updated_at"].as_str().unwrap_or_default();
        assert!(old["updated_at"].as_str().unwrap() < time, "{time} is not after {old:?}");
        new["updated_at"] = json!(time);
        self.groups.insert(id.to_owned(), new.clone());
        Ok(with_etag(new))
    }

    /// An update with a mask, as an RPC reads it.
    fn update_masked(
        &mut self,
        id: &str,
        body: &Value,
        paths: &[&str],
        with: &CallOptions,
        given: &Value,
    ) -> Result<Value, ApiError> {
        let has_value = |field: &str| {
            !matches!(body[field].clone(), Value::Null | Value::Bool(false)) && body[field] != ""
        };
        // An empty text is a value where a text may be absent.
        let is_set = |field: &str| has_value(field) || (body[field] == "" && field != "customer_group_name");
        let counts = |field: &&&str| match paths {
            [] => is_set(field),
            ["*"] => true,
            named => named.contains(field),
        };
        let masked: Object =
            MUTABLE.iter().filter(counts).map(|field| ((*field).to_owned(), body[*field].clone())).collect();
        let wrong = paths.contains(&"colour").then_some(("update_mask", "parameter_unknown"));
        self.update(id, &Value::Object(masked), with, given, wrong)
    }

    fn delete(&mut self, id: &str, with: &CallOptions) -> Result<Value, ApiError> {
        let group = self.find(id)?;
        check_etag(&group, with)?;
        if !self.children(id).is_empty() {
            return Err(refusal("has_children"));
        }
        self.groups.remove(id);
        Ok(json!({"id": id, "deleted": true}))
    }

    /// Checks a body, for an existing group or a new one.
    pub(super) fn check_body(&self, body: &Value, id: Option<&str>) -> Violations {
        let mut found = Violations::default();
        if let Some(parent) = body["parent_id"].as_str() {
            let in_subtree =
                |id: &str| parent == id || self.descendants(id).iter().any(|group| group["id"] == parent);
            if !self.groups.contains_key(parent) {
                found.add("parent_id", "parent_not_found");
            } else if id.is_some_and(in_subtree) {
                found.add("parent_id", "parent_cycle");
            }
        }
        for field in &MUTABLE[2..] {
            check_text(field, body.get(field), &mut found);
        }
        if body.get("colour").is_some() {
            found.add("colour", "parameter_unknown");
        }
        found
    }
}

/// A group without any value.
pub(super) fn blank() -> Object {
    let names = ["id", "created_at", "updated_at"].into_iter().chain(MUTABLE);
    let mut blank: Object = names.map(|name| (name.to_owned(), Value::Null)).collect();
    blank["is_group"] = json!(false);
    blank
}

/// A group with this id, as created.
pub(super) fn created(asked: &Object, id: &str) -> Object {
    let time = GroupId::parse(id).map(|id| id.created_at().to_string());
    let mut object = asked.clone();
    object["id"] = json!(id);
    (object["created_at"], object["updated_at"]) = (json!(time), json!(time));
    object
}

/// The group with the fields of a body applied.
pub(super) fn set(group: &Object, body: &Value) -> Object {
    let mut group = group.clone();
    for field in MUTABLE {
        match (field, body.get(field)) {
            (_, None) => {}
            ("is_group", Some(value)) => group[field] = json!(value == true),
            ("customer_group_name", Some(value)) => group[field] = json!(value.as_str().map(str::trim)),
            (_, Some(value)) => group[field] = value.clone(),
        }
    }
    group
}

pub(super) fn refusal(code: &str) -> ApiError {
    ApiError { code: code.to_owned(), fields: Vec::new(), message: String::new() }
}

fn check_etag(group: &Object, with: &CallOptions) -> Result<(), ApiError> {
    let is_meant = |header: &String| header == "*" || header.split(", ").any(|tag| tag == etag(group));
    if with.if_match.as_ref().is_none_or(is_meant) { Ok(()) } else { Err(refusal("etag_mismatch")) }
}

fn etag(group: &Object) -> String {
    let time: jiff::Timestamp = group["updated_at"].as_str().unwrap().parse().unwrap();
    format!("\"{}\"", time.as_millisecond())
}

fn with_etag(group: Object) -> Value {
    let etag = group["updated_at"].is_string().then(|| etag(&group));
    let mut response = Value::Object(group);
    response["etag"] = json!(etag);
    response
}

/// A page of a list that is ordered by id, so that any id can be the position.
fn part_by_id(list: Vec<Object>, page: &Page) -> Value {
    let total = list.len();
    let is_after =
        |group: &Object| page.starting_after.as_ref().is_none_or(|after| group["id"].as_str() < Some(after));
    part(list.into_iter().filter(is_after).collect(), page, total)
}

fn part(from_start: Vec<Object>, page: &Page, total: usize) -> Value {
    let number = |number: i32| usize::try_from(number).unwrap();
    let mut data = from_start.into_iter().skip(page.offset.map_or(0, number));
    let taken: Vec<Object> = data.by_ref().take(page.limit.map_or(usize::MAX, number)).collect();
    json!({"data": taken, "has_more": data.next().is_some(), "total": total})
}

fn is_kept(group: &Object, filter: &Filter) -> bool {
    let folded = |text: &str| text.to_uppercase().replace('É', "E");
    let parent = filter.parent_id.as_ref().is_none_or(|id| match id.as_str() {
        "null" => group["parent_id"].is_null(),
        id => group["parent_id"] == id,
    });
    let name = group["customer_group_name"].as_str().unwrap();
    let is_named = |text: &String| folded(name).contains(&folded(text.trim()));
    parent && filter.customer_group_name.as_ref().is_none_or(is_named)
}
