//! What happens, told to whoever listens. A slow listener misses events and is told so; nobody waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use netd_api::Event;
use netd_model::Endpoint;
use tokio::sync::broadcast;

use super::{Engine, EngineError};

/// How many events a listener may be behind.
const BACKLOG: usize = 1024;
/// How many events are kept for who asks later what happened; as many as Docker keeps.
const PAST: usize = 256;

/// The announcer.
#[derive(Clone, Debug)]
pub(super) struct Events {
    listeners: broadcast::Sender<Event>,
    /// The latest, the eldest first.
    past: Arc<Mutex<VecDeque<Event>>>,
}

impl Events {
    /// Nobody listens yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self {
            listeners: broadcast::channel(BACKLOG).0,
            past: Arc::default(),
        }
    }

    /// Everything from now on.
    #[must_use]
    pub(super) fn listen(&self) -> broadcast::Receiver<Event> {
        self.listeners.subscribe()
    }

    /// The latest events, and everything after them: none is missed or told twice in between.
    #[must_use]
    pub(super) fn listen_with_past(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        (past.iter().cloned().collect(), self.listeners.subscribe())
    }

    /// Tells that `action` happened to the `kind` of that id and name.
    pub(super) fn tell(
        &self,
        kind: &str,
        action: &str,
        subject: (String, String),
        attributes: &[(&str, String)],
    ) {
        let (id, name) = subject;
        let attributes: BTreeMap<String, String> = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        tracing::info!(kind, action, id = %id.get(..12).unwrap_or(&id), name, ?attributes, "event");
        let time = jiff::Timestamp::now().to_string();
        let event = Event {
            time,
            kind: kind.to_owned(),
            action: action.to_owned(),
            id,
            name,
            attributes,
        };
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == PAST {
            past.pop_front();
        }
        past.push_back(event.clone());
        // An error says that nobody listens.
        let _ = self.listeners.send(event);
    }
}

impl Engine {
    /// Tells that a container joined or left a network.
    pub(super) async fn tell_of(
        &self,
        endpoint: &Endpoint,
        action: &'static str,
    ) -> Result<(), EngineError> {
        let (network, container) = (endpoint.network, endpoint.container);
        let found = self.look(move |state| {
            Some((
                state.network(network)?.clone(),
                state.container(container)?.clone(),
            ))
        });
        if let Some((network, container)) = found.await? {
            let addresses: Vec<String> = endpoint
                .leases
                .iter()
                .map(|lease| lease.address.to_string())
                .collect();
            let mut facts = vec![
                ("container", container.name.to_string()),
                ("container_id", container.id.to_string()),
                ("driver", network.driver.name().to_owned()),
            ];
            if let Some(interface) = endpoint.inside() {
                facts.push(("interface", interface.to_string()));
            }
            if !addresses.is_empty() {
                facts.push(("address", addresses.join(" ")));
            }
            self.events.tell(
                "network",
                action,
                (network.id.to_string(), network.name.to_string()),
                &facts,
            );
        }
        Ok(())
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}
