//! The table of netd's own paths: what is served and what the description tells are made of the same lines.

#[cfg(test)]
use aide::{
    axum::{ApiRouter, routing::ApiMethodRouter},
    transform::TransformOperation,
};
use axum::Router;
use axum::routing::MethodRouter;

use super::{App, attachments, containers, events, networks, peers, status, version};

/// `PATH: METHOD HANDLER "name" "what it does"`, the names being unique. The test that makes the description reads
/// the last two.
macro_rules! table {
    ($($path:literal: { $($method:ident $handler:path, $name:literal $summary:literal;)+ })+) => {
        /// What is served.
        pub(super) fn served() -> Router<App> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($handler))+))+
        }

        /// The same with what it takes and gives.
        #[cfg(test)]
        pub(super) fn described() -> ApiRouter<App> {
            ApiRouter::new()$(.api_route($path, {
                let methods = ApiMethodRouter::new();
                $(let methods = described!(methods, $method, $handler, called($name, $summary));)+
                methods
            }))+
        }
    };
}

#[cfg(test)]
macro_rules! described {
    ($methods:ident, get, $handler:path, $called:expr) => {
        $methods.get_with($handler, $called)
    };
    ($methods:ident, post, $handler:path, $called:expr) => {
        $methods.post_with($handler, $called)
    };
    ($methods:ident, patch, $handler:path, $called:expr) => {
        $methods.patch_with($handler, $called)
    };
    ($methods:ident, delete, $handler:path, $called:expr) => {
        $methods.delete_with($handler, $called)
    };
}

#[cfg(test)]
fn called(
    name: &'static str,
    summary: &'static str,
) -> impl for<'a> FnOnce(TransformOperation<'a>) -> TransformOperation<'a> {
    move |operation| operation.id(name).summary(summary)
}

table! {
    "/version": {
        get version, "version" "The daemon's version";
    }
    "/status": {
        get status, "status" "What the daemon says of itself";
    }
    "/events": {
        get events, "events" "What happens from now on, a line of JSON each";
    }
    "/networks": {
        get networks::list_networks, "listNetworks" "Every network";
        post networks::create_network, "createNetwork" "Create a network";
    }
    "/networks/prune": {
        post networks::prune_networks, "pruneNetworks" "Remove every network that nobody is connected to";
    }
    "/networks/{network}": {
        get networks::show_network, "showNetwork" "One network by name, id or the beginning of its id";
        patch networks::update_network, "updateNetwork" "Change a network while it lives, all or nothing";
        delete networks::remove_network, "removeNetwork" "Remove a network that nobody is connected to";
    }
    "/networks/{network}/connect": {
        post networks::connect, "connect" "Connect a container, or a namespace, to a network";
    }
    "/networks/{network}/disconnect": {
        post networks::disconnect, "disconnect" "Disconnect a container from a network";
    }
    "/networks/{network}/allow": {
        post networks::allow, "allow" "Let two networks talk that are isolated from each other";
    }
    "/networks/{network}/deny": {
        post networks::deny, "deny" "Isolate two networks from each other again";
    }
    "/networks/{network}/uplinks": {
        post peers::add_uplink, "addUplink" "Make a card of the host a port of the network's bridge";
    }
    "/networks/{network}/uplinks/{device}": {
        delete peers::remove_uplink, "removeUplink" "Take a card of the host off the network";
    }
    "/routes": {
        get peers::list_routes, "listRoutes" "Every route to containers of other hosts";
        post peers::add_route, "addRoute" "Lead to containers of another host";
    }
    "/routes/{subnet}": {
        delete peers::remove_route, "removeRoute" "Remove a route; the subnet's slash is written %2F";
    }
    "/containers": {
        get containers::list_containers, "listContainers" "Every container, those that ended too";
        post containers::run_container, "registerContainer" "Make a namespace known and connect it, all or nothing";
    }
    "/containers/prune": {
        post containers::prune_containers, "pruneContainers" "Forget every container that has ended";
    }
    "/containers/{container}": {
        get containers::show_container, "showContainer" "One container by name, id or the beginning of its id";
        delete containers::forget_container, "forgetContainer" "Forget a container; it is disconnected from everything";
    }
    "/containers/{container}/stop": {
        post containers::stop_container, "stopContainer" "Stop a container; the answer comes when it has ended";
    }
    "/containers/{container}/exit": {
        post containers::exit_container, "reportExit" "Tell that a container's command has ended";
    }
    "/containers/{container}/publish": {
        post containers::publish, "publish" "Publish further ports of a container";
    }
    "/containers/{container}/unpublish": {
        post containers::unpublish, "unpublish" "Withdraw published ports of a container";
    }
    "/attachments": {
        post attachments::attach, "attach" "Connect a namespace under a key of the runtime's; again is the same";
    }
    "/attachments/release": {
        post attachments::release, "release" "Disconnect what has this key; what is gone already is no error";
    }
    "/attachments/check": {
        post attachments::check, "check" "Look whether what has this key is connected as recorded";
    }
    "/attachments/retain": {
        post attachments::retain, "retain" "Disconnect all of one configuration that the runtime does not name";
    }
}
