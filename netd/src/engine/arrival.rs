//! A container comes: its namespace is pinned, its record written, and its way onto its network begun, in one piece of work.
//!
//! Where somebody else is at the same namespace, or another one is kept for the container, it takes several pieces, with a
//! wait between them.

use netd_kernel::{AdoptError, NetnsHandle};
use netd_model::{NamespaceMode, NetnsId, NetworkId};

use super::attach::Underway;
use super::companions::leaves_kept;
use super::register::{Enrolled, Facts, register};
use super::timings::Phase as Part;
use super::{Engine, EngineError, Hands, NewContainer};

/// What came of a container's coming.
pub(super) struct Arrived {
    /// What its record says.
    pub(super) enrolled: Enrolled,
    /// Its way onto its network, if that has begun.
    pub(super) underway: Option<Box<Underway>>,
}

/// What a container comes with.
struct Newcomer {
    new: NewContainer,
    facts: Facts,
    handle: NetnsHandle,
}

/// What one piece of work can do of it.
enum Enlisted {
    /// All.
    Done(Result<Enrolled, EngineError>),
    /// Nothing: somebody has to be waited for.
    Contended(Box<Newcomer>),
}

impl Engine {
    /// Pins the namespace of a container, unless it is another's, writes the intent, and begins to connect it.
    pub(super) async fn arrive(
        &self,
        new: NewContainer,
        facts: Facts,
        network: Option<NetworkId>,
    ) -> Result<Arrived, EngineError> {
        let alone = |enrolled| Arrived {
            enrolled,
            underway: None,
        };
        if facts.namespace != NamespaceMode::Private {
            let enrolled = self.turns.take(move |ledger| register(ledger, new, facts));
            return Ok(alone(enrolled.await??));
        }
        let Some(handle) = new.netns else {
            return Err(EngineError::Invalid(
                "a network namespace is needed: give netns with the pid of a process in it"
                    .to_owned(),
            ));
        };
        let newcomer = Newcomer { new, facts, handle };
        let Some(network) = network else {
            return Ok(alone(self.enroll(newcomer).await?));
        };
        let called = newcomer.new.name.as_ref();
        let outset = self.set_out(network, (newcomer.facts.id, called)).await?;
        let wish = newcomer.new.wish.clone();
        let work = move |hands: &Hands| {
            let mut outset = outset;
            let enlisted = outset.watch.part(Part::Register, || hands.enlist(newcomer));
            let begun = match &enlisted {
                Enlisted::Done(Ok(Enrolled::New)) => Some(outset.begin(hands, wish)),
                _ => None,
            };
            (enlisted, begun)
        };
        match self.at_work(work).await {
            (Enlisted::Done(enrolled), begun) => Ok(Arrived {
                enrolled: enrolled?,
                underway: begun.map(Box::new),
            }),
            (Enlisted::Contended(newcomer), _) => Ok(alone(self.enroll(*newcomer).await?)),
        }
    }

    /// Pins the namespace and writes the intent. Nobody else takes or lets go of that namespace meanwhile.
    async fn enroll(&self, newcomer: Newcomer) -> Result<Enrolled, EngineError> {
        let handle = newcomer.handle;
        let netns = self.kernel(move |kernel| kernel.adopt(handle)).await?.netns;
        if let Err(kept) = self.leave_kept(&newcomer.facts, netns).await {
            self.at_work(move |hands| hands.release_stranger(netns))
                .await?;
            return Err(kept);
        }
        let lane = self.sandboxes.alone(netns).await;
        self.at_work(move |hands| {
            let _lane = lane;
            hands.enroll_at(netns, newcomer)
        })
        .await
    }
}

impl Hands {
    /// Pins the namespace and writes the intent, if nobody has to be waited for.
    fn enlist(&self, newcomer: Newcomer) -> Enlisted {
        let netns = match self.kernel.adopt(newcomer.handle) {
            Ok(sandbox) => sandbox.netns,
            Err(error) => return Enlisted::Done(Err(error.into())),
        };
        let id = newcomer.facts.id;
        let leaves = self
            .turns
            .now(|ledger| leaves_kept(ledger.state(), id, netns).is_some());
        match (leaves, self.sandboxes.try_alone(netns)) {
            (Err(closed), _) => Enlisted::Done(Err(closed.into())),
            (Ok(false), Some(_lane)) => Enlisted::Done(self.enroll_at(netns, newcomer)),
            (Ok(_), _) => Enlisted::Contended(Box::new(newcomer)),
        }
    }

    /// Writes the intent to have a container in a namespace, in whose lane the caller is alone.
    fn enroll_at(&self, netns: NetnsId, newcomer: Newcomer) -> Result<Enrolled, EngineError> {
        let Newcomer {
            new,
            mut facts,
            handle,
        } = newcomer;
        // Whoever was in the lane may have let go of it: then once more.
        let pinned = match self.kernel.pinned(netns) {
            Some(sandbox) => Ok(sandbox),
            None => self.kernel.adopt(handle),
        };
        let enrolled = match pinned {
            Ok(sandbox) if sandbox.netns == netns => {
                facts.sandbox = Some(sandbox);
                self.turns.now(|ledger| register(ledger, new, facts))?
            }
            Ok(other) => Err(AdoptError::Gone {
                netns,
                anchor: other.anchor,
            }
            .into()),
            Err(refused) => Err(refused.into()),
        };
        if enrolled.is_err() {
            self.release_stranger(netns)?;
        }
        enrolled
    }

    /// Lets go of a namespace that was pinned for nothing, unless it is a known container's.
    fn release_stranger(&self, netns: NetnsId) -> Result<(), EngineError> {
        let known = self
            .turns
            .now(|ledger| ledger.state().container_in(netns).is_some())?;
        if !known {
            self.kernel.release(netns);
        }
        Ok(())
    }
}
