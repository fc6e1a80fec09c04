//! Stopping what `net run` started: ask the supervisor, wait, then end its children.

use std::time::Duration;

use netd_kernel::Signal;
use netd_model::{ContainerId, container::Supervisor};

use super::ending::Ending;
use super::{Engine, EngineError};

/// How long a killed command may take to be reaped by its supervisor.
const AFTER_KILL: Duration = Duration::from_secs(5);

impl Engine {
    /// Asks a container's command to end (SIGTERM), kills it after `patience`, and returns when it has ended.
    ///
    /// # Errors
    /// [`EngineError::NotRunning`], or [`EngineError::NoSupervisor`] when another runtime started it.
    pub async fn stop_container(
        &self,
        id: ContainerId,
        patience: Duration,
    ) -> Result<(), EngineError> {
        let mut events = self.events.listen();
        let Some(container) = self.look(move |state| state.container(id).cloned()).await? else {
            return Err(EngineError::ContainerNotFound(id.short()));
        };
        if !container.is_running() {
            return Err(EngineError::NotRunning(container.name.clone()));
        }
        let Some(supervisor) = container.supervisor else {
            return Err(EngineError::NoSupervisor(container.name.clone()));
        };
        if !self
            .kernel(move |kernel| kernel.signal(supervisor, Signal::Terminate))
            .await?
        {
            return self.end_container(id, Ending::Vanished).await;
        }
        if self.ended_within(id, patience, &mut events).await? {
            return Ok(());
        }
        self.kill_children(supervisor).await?;
        if self.ended_within(id, AFTER_KILL, &mut events).await? {
            return Ok(());
        }
        // The supervisor itself does not answer.
        self.kernel(move |kernel| kernel.signal(supervisor, Signal::Kill))
            .await?;
        if self.ended_within(id, AFTER_KILL, &mut events).await? {
            return Ok(());
        }
        Err(EngineError::WillNotEnd(container.name.clone()))
    }

    async fn kill_children(&self, supervisor: Supervisor) -> Result<(), EngineError> {
        self.kernel(move |kernel| -> Result<(), EngineError> {
            for child in kernel.children(supervisor)? {
                kernel.signal(child, Signal::Kill)?;
            }
            Ok(())
        })
        .await
    }

    async fn ended_within(
        &self,
        id: ContainerId,
        patience: Duration,
        events: &mut tokio::sync::broadcast::Receiver<netd_api::Event>,
    ) -> Result<bool, EngineError> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let remains = self.look(move |state| {
                state
                    .container(id)
                    .is_some_and(|container| !container.has_ended())
            });
            if !remains.await? {
                return Ok(true);
            }
            // Any event is a reason to look again; so is a gap in them.
            if tokio::time::timeout_at(deadline, events.recv())
                .await
                .is_err()
            {
                return Ok(false);
            }
        }
    }
}
