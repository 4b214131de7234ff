//! Tree lists on random trees: complete, paged and streamed lists agree.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use customer_groups::testing::pb;
use serde_json::Value;

use crate::contract::{Call, CallOptions, Page, make};
use crate::support::protocol::Protocol;
use crate::support::{Api, Calls, Client, KEY, Random, below, move_of, named, reason};

const PROTOCOLS: [Protocol; 2] = [Protocol::Rest, Protocol::Grpc];

type List = fn(String, Page) -> Call;

/// The response to a list call over a protocol.
async fn read(protocol: Protocol, address: SocketAddr, call: Call) -> Result<Value, String> {
    let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    make(protocol, address, &call, &with).await.map_err(|refusal| refusal.code)
}

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|group| group["id"].as_str().unwrap().to_owned()).collect()
}

/// A list of a group, and the ids that it must contain.
struct Expected<'a> {
    protocol: Protocol,
    address: SocketAddr,
    list: List,
    of: &'a str,
    ids: &'a [String],
}

impl Expected<'_> {
    /// Returns a page, after checking `has_more` and `total`; `start` is the expected position of its first
    /// group.
    async fn page(&self, start: usize, page: Page) -> Vec<String> {
        let limit = page.limit.map_or(usize::MAX, |limit| limit.try_into().unwrap());
        let list =
            read(self.protocol, self.address, (self.list)(self.of.to_owned(), page.clone())).await.unwrap();
        let (ids, rest) = (ids(&list), &self.ids[start.min(self.ids.len())..]);
        assert_eq!(ids, rest[..limit.min(rest.len())], "{:?} {page:?} of {}", self.protocol, self.of);
        // The stream has no total.
        if let Some(total) = list.get("total") {
            assert_eq!((&list["has_more"], total), (&(rest.len() > limit).into(), &self.ids.len().into()));
        }
        ids
    }

    /// Reads the whole list, then page by page with offsets, then page by page with `starting_after`.
    async fn check(&self, size: usize) {
        self.page(0, Page::default()).await;
        let limit = Some(i32::try_from(size).unwrap());
        let (mut start, mut last) = (0, None);
        while start <= self.ids.len() {
            let offset = Some(i32::try_from(start).unwrap());
            self.page(start, Page { limit, offset, starting_after: None }).await;
            let page = self.page(start, Page { limit, offset: None, starting_after: last.clone() }).await;
            start += size;
            last = page.last().cloned();
        }
    }
}

/// The expected tree: the parent of each group.
#[derive(Default)]
struct Model(BTreeMap<String, Option<String>>);

impl Model {
    fn ancestors(&self, id: &str) -> Vec<String> {
        std::iter::successors(self.0[id].clone(), |id| self.0[id].clone()).collect()
    }

    /// The newest first: ids are in the order of creation.
    fn children(&self, id: &str) -> Vec<String> {
        let children = self.0.iter().rev().filter(|(_, parent)| parent.as_deref() == Some(id));
        children.map(|(id, _)| id.clone()).collect()
    }

    fn descendants(&self, id: &str) -> Vec<String> {
        let mut found = self.children(id);
        let mut next = 0;
        while let Some(id) = found.get(next) {
            found.extend(self.children(id));
            next += 1;
        }
        found
    }
}

/// Creates a tree with long branches and moves groups in it.
async fn grow(client: &Client, random: &mut Random, count: usize) -> Model {
    let (mut model, mut groups) = (Model::default(), Vec::<pb::CustomerGroup>::new());
    for number in 0..count {
        let from = if random.below(2) == 0 { number.saturating_sub(3) } else { 0 };
        let group = match number {
            0 => named("root"),
            _ => below(&groups[from + random.below(number - from)], "group"),
        };
        let group = client.create(group).await.unwrap();
        model.0.insert(group.id.clone(), group.parent_id.clone());
        groups.push(group);
    }
    for _ in 0..count / 2 {
        let (group, parent) = (&groups[random.below(count)], &groups[random.below(count)]);
        match client.update(move_of(group, Some(parent))).await {
            Ok(moved) => drop(model.0.insert(moved.id, moved.parent_id)),
            Err(status) => assert_eq!(reason(&status), "PARENT_CYCLE"),
        }
    }
    model
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_lists_pages_and_streams_agree_in_any_tree() {
    for seed in 1..=4 {
        let api = Api::start().await;
        let mut random = Random(seed * 0x9e37_79b9);
        let model = grow(&api.client().await, &mut random, 100).await;
        let all: Vec<&String> = model.0.keys().collect();
        let mut of = vec![all[0]];
        of.extend((0..4).map(|_| all[random.below(all.len())]));
        for id in of {
            let (children, ancestors, descendants) =
                (model.children(id), model.ancestors(id), model.descendants(id));
            for (at, group) in descendants.iter().enumerate() {
                let parent = model.0[group].as_ref().unwrap();
                assert!(parent == id || descendants[..at].contains(parent), "{group} is before its parent");
            }
            for protocol in PROTOCOLS {
                let size = 1 + random.below(40);
                for (list, ids) in [
                    (Call::Children as List, &children),
                    (Call::Ancestors, &ancestors),
                    (Call::Descendants, &descendants),
                    (Call::StreamDescendants, &descendants),
                ] {
                    Expected { protocol, address: api.address(), list, of: id, ids }.check(size).await;
                }
            }
        }
    }
}

/// Up to 100 ancestors are read by one method, longer paths by another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_of_a_hundred_levels_and_longer_ones_are_read_alike() {
    let api = Api::start().await;
    let chain = api.client().await.chain(252).await;
    for count in [99, 100, 101, 102, 250] {
        let ids: Vec<String> = chain[..count].iter().rev().map(|group| group.id.clone()).collect();
        let (of, stranger) = (&chain[count].id, &chain[count + 1].id);
        for protocol in Protocol::ALL {
            let ancestors =
                Expected { protocol, address: api.address(), list: Call::Ancestors, of, ids: &ids };
            ancestors.page(0, Page::default()).await;
            for (start, limit) in [(1, 0), (1, 1), (98, 1), (98, 5), (count - 1, 3), (count, 3)] {
                let starting_after = Some(ids[start - 1].clone());
                let page = Page { limit: Some(limit), offset: None, starting_after };
                ancestors.page(start, page.clone()).await;
                ancestors.page(start + 2, Page { offset: Some(2), ..page.clone() }).await;
                ancestors.page(start, Page { limit: None, ..page }).await;
            }
            for other in [of, stranger] {
                let page = Page { starting_after: Some(other.clone()), ..Page::default() };
                let refused = read(protocol, api.address(), Call::Ancestors(of.clone(), page)).await;
                assert_eq!(refused.unwrap_err(), "parameter_invalid", "{protocol:?} {count}");
            }
        }
        for protocol in PROTOCOLS {
            Expected { protocol, address: api.address(), list: Call::Ancestors, of, ids: &ids }
                .check(60)
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_clients_read_the_ancestors_of_what_they_moved() {
    let api = Api::start().await;
    // The path is so long that some reads use the statement that is not batched.
    let long = api.client().await.chain(110).await;
    let mut clients = Vec::new();
    for number in 0..32 {
        let (writer, reader, long) = (api.client().await, api.client().await, long.clone());
        clients.push(tokio::spawn(async move {
            let homes = [writer.create(named("a")).await.unwrap(), long[109 - number * 3].clone()];
            let group = writer.create(named("group")).await.unwrap();
            for round in 0..20 {
                let home = &homes[round % 2];
                writer.update(move_of(&group, Some(home))).await.unwrap();
                let request =
                    pb::ListCustomerGroupAncestorsRequest { id: group.id.clone(), ..Default::default() };
                let list = reader.clone().list_customer_group_ancestors(request).await.unwrap().into_inner();
                let expected = if round % 2 == 0 { 1 } else { 110 - number * 3 };
                assert_eq!((&list.data[0].id, list.data.len()), (&home.id, expected));
            }
            writer.delete(&group.id).await.unwrap();
            let request = pb::ListCustomerGroupAncestorsRequest { id: group.id, ..Default::default() };
            let gone = reader.clone().list_customer_group_ancestors(request).await.unwrap_err();
            assert_eq!(reason(&gone), "RESOURCE_MISSING");
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}
