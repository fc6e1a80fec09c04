//! Networks that may talk to each other, which others may not: let, and kept apart again.

use netd_model::ruleset::RulesetChange;
use netd_model::{Network, NetworkId, NetworkPair, Phase};

use super::{Engine, EngineError};
use crate::state::State;
use crate::store::Change;

/// What is asked about two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    /// They may talk.
    Allow,
    /// They may not.
    Deny,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    const fn opposite(self) -> Self {
        match self {
            Self::Allow => Self::Deny,
            Self::Deny => Self::Allow,
        }
    }

    const fn rule(self, pair: NetworkPair) -> RulesetChange {
        match self {
            Self::Allow => RulesetChange::Allow(pair),
            Self::Deny => RulesetChange::Deny(pair),
        }
    }

    const fn record(self, pair: NetworkPair) -> Change {
        match self {
            Self::Allow => Change::Allow(pair),
            Self::Deny => Change::Deny(pair),
        }
    }
}

impl Engine {
    /// Lets the containers of two bridge networks talk, both ways. The same again changes nothing.
    ///
    /// # Errors
    /// [`EngineError::NotAPair`] for one network twice, and for one that is internal or no bridge;
    /// [`EngineError::NetworkNotFound`], or what failed. They are then as far apart as before.
    pub async fn allow(&self, one: NetworkId, other: NetworkId) -> Result<(), EngineError> {
        self.set_pair(Verb::Allow, (one, other)).await
    }

    /// Keeps two networks apart again, flows that are under way included. If they are, nothing changes.
    ///
    /// # Errors
    /// As [`Engine::allow`], but internal networks are no error: they are closed.
    pub async fn deny(&self, one: NetworkId, other: NetworkId) -> Result<(), EngineError> {
        self.set_pair(Verb::Deny, (one, other)).await
    }

    async fn set_pair(
        &self,
        verb: Verb,
        (one, other): (NetworkId, NetworkId),
    ) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _first = self.networks.alone(one.min(other)).await;
        // A lane is not for taking twice.
        let _second = match one == other {
            true => None,
            false => Some(self.networks.alone(one.max(other)).await),
        };
        let asked = self.look(move |state| ask(state, verb, (one, other)));
        let Some(Asked { pair, names }) = asked.await?? else {
            return Ok(());
        };
        // The rules first: whatever comes in between, a restart finds what was acknowledged and makes the rules that.
        self.rules.change(vec![verb.rule(pair)]).await?;
        let record = verb.record(pair);
        let kept = self.turns.take(move |ledger| ledger.commit(&[record]));
        if let Err(error) = kept.await? {
            let undone = self.rules.change(vec![verb.opposite().rule(pair)]).await;
            if let Err(undo) = undone {
                tracing::warn!(error = %undo, "undoing waits for the next reconcile");
                self.leftovers.notify_one();
            }
            return Err(error.into());
        }
        let facts = [("with", names.1), ("with_id", other.to_string())];
        let subject = (one.to_string(), names.0);
        self.events.tell("network", verb.name(), subject, &facts);
        Ok(())
    }
}

/// What is to be changed.
struct Asked {
    pair: NetworkPair,
    /// The networks' names, in the order in which they were given.
    names: (String, String),
}

/// Whether two networks can be a pair; nothing if they are already as asked.
fn ask(
    state: &State,
    verb: Verb,
    (one, other): (NetworkId, NetworkId),
) -> Result<Option<Asked>, EngineError> {
    let known = |id: NetworkId| match state.network(id) {
        Some(network) if network.phase == Phase::Attached => Ok(network),
        _ => Err(EngineError::NetworkNotFound(id.short())),
    };
    let (one, other) = (known(one)?, known(other)?);
    let refuse = |reason| EngineError::NotAPair {
        action: verb.name(),
        one: one.name.clone(),
        other: other.name.clone(),
        reason,
    };
    let Some(pair) = NetworkPair::new(one.id, other.id) else {
        let reason = "they are one network; give two".to_owned();
        return Err(refuse(reason));
    };
    for network in [one, other] {
        if let Some(reason) = unfit(network, verb) {
            return Err(refuse(reason));
        }
    }
    if state.is_allowed(pair) == (verb == Verb::Allow) {
        return Ok(None);
    }
    let names = (one.name.to_string(), other.name.to_string());
    Ok(Some(Asked { pair, names }))
}

fn unfit(network: &Network, verb: Verb) -> Option<String> {
    let name = &network.name;
    if network.bridge().is_none() {
        return Some(format!(
            "{name} is no bridge network, so nothing isolates it"
        ));
    }
    (verb == Verb::Allow && network.policy.internal).then(|| {
        format!("{name} is internal, closed to everything else; connect the containers that shall talk to one network")
    })
}
