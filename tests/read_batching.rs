//! Batched point reads: reads that arrive together share one statement, and callers see no difference.

use customer_groups::testing::pb;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::support::{Api, Calls, Client, named, reason, update_of};

/// Starts many reads of one group while the table is locked.
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
async fn cancelled_reads_do_not_cancel_others_in_the_batch() {
    let api = Api::start().await;
    let client = api.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let lock = api.database.lock("customer_group").await;

    let first = readers(&client, &group.id, 1);
    api.database.until_a_statement_waits().await;
    let leaving = readers(&client, &group.id, 100);
    let staying = readers(&client, &group.id, 100);
    for reader in leaving {
        reader.abort();
    }
    lock.release().await;
    for reader in first.into_iter().chain(staying) {
        assert_eq!(reader.await.unwrap().unwrap(), group);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_statement_fails_only_the_reads_in_its_batch() {
    let api = Api::start().await;
    let client = api.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let lock = api.database.lock("customer_group").await;

    let mut first = readers(&client, &group.id, 1);
    api.database.until_a_statement_waits().await;
    let others = readers(&client, &group.id, 100);
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where datname = current_database() and wait_event_type = 'Lock'";
    assert_eq!(api.database.number(end).await, 1);
    let status = first.remove(0).await.unwrap().unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "UNAVAILABLE"));
    lock.release().await;
    for reader in others {
        assert_eq!(reader.await.unwrap().unwrap(), group);
    }
}
