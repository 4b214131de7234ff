//! Point reads that come together are asked together, and nobody can tell.

use customer_groups::grpc::pb;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::support::{Api, Calls, Client, named, reason, update_of};

/// Many reads of one group, while something locks the table.
fn readers(client: &Client, id: &str, count: usize) -> Vec<JoinHandle<Result<pb::CustomerGroup, Status>>> {
    (0..count)
        .map(|_| {
            let (client, id) = (client.clone(), id.to_owned());
            tokio::spawn(async move { client.get(&id).await })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_clients_read_what_they_wrote() {
    let api = Api::start().await;
    let mut clients = Vec::new();
    for number in 0..32 {
        let (writer, reader) = (api.client().await, api.client().await);
        clients.push(tokio::spawn(async move {
            let created = writer.create(named(&format!("client {number}"))).await.unwrap();
            assert_eq!(reader.get(&created.id).await.unwrap(), created);
            for version in 0..20 {
                let name = format!("client {number}, version {version}");
                let group = pb::CustomerGroup { id: created.id.clone(), ..named(&name) };
                let updated = writer.update(update_of(group, &["customer_group_name"])).await.unwrap();
                assert_eq!(reader.get(&created.id).await.unwrap(), updated);
            }
            writer.delete(&created.id).await.unwrap();
            assert_eq!(reader.get(&created.id).await.unwrap_err().code(), Code::NotFound);
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_leave_while_they_wait_take_nobody_along() {
    let api = Api::start().await;
    let client = api.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let mut sql = api.database.sql().await;
    let held = sql.transaction().await.unwrap();
    held.batch_execute("lock table customer_group").await.unwrap();

    let first = readers(&client, &group.id, 1);
    api.database.until_a_statement_waits().await;
    let leaving = readers(&client, &group.id, 100);
    let staying = readers(&client, &group.id, 100);
    for reader in leaving {
        reader.abort();
    }
    held.rollback().await.unwrap();
    for reader in first.into_iter().chain(staying) {
        assert_eq!(reader.await.unwrap().unwrap(), group);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_fails_fails_only_those_who_asked_by_it() {
    let api = Api::start().await;
    let client = api.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let mut sql = api.database.sql().await;
    let held = sql.transaction().await.unwrap();
    held.batch_execute("lock table customer_group").await.unwrap();

    let mut first = readers(&client, &group.id, 1);
    api.database.until_a_statement_waits().await;
    let others = readers(&client, &group.id, 100);
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where datname = current_database() and wait_event_type = 'Lock'";
    assert_eq!(api.database.number(end).await, 1);
    let status = first.remove(0).await.unwrap().unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "UNAVAILABLE"));
    held.rollback().await.unwrap();
    for reader in others {
        assert_eq!(reader.await.unwrap().unwrap(), group);
    }
}
