//! What shall be reached by `netd-cni` beside the programs that other runtimes call.

use super::{Bound, Of, Row, ratio, row};
use crate::lanes::netd::Backend;
use crate::lanes::netd_cni;
use crate::measure::Measure;

/// Numbers of containers at which they are compared.
const SIZES: [u64; 2] = [1, 500];

const STEPS: [(&str, Measure); 6] = [
    ("ADD", Measure::PluginAdd),
    ("ADD with 1 port", Measure::PluginAddPort),
    ("ADD with 100 ports", Measure::PluginAddPorts),
    ("DEL", Measure::PluginDel),
    ("DEL with 1 port", Measure::PluginDelPort),
    ("DEL with 100 ports", Measure::PluginDelPorts),
];

const PEERS: [(&str, &str); 2] = [("the CNI project's", "cni"), ("netavark", "netavark")];

/// All of them.
pub(super) fn rows(of: &Of<'_>, backend: Backend) -> Vec<Row> {
    let own = Of {
        results: of.results,
        lane: netd_cni::name(backend),
    };
    let mut rows = Vec::new();
    for (step, measure) in STEPS {
        for size in SIZES {
            for (title, peer) in PEERS {
                let what = match size {
                    1 => format!("netd-cni {step}, faster than {title}"),
                    _ => format!("netd-cni {step} of the {size}th, faster than {title}"),
                };
                let times = ratio(own.other(measure, size, peer), own.own(measure, size));
                rows.push(row(&what, (Bound::AtLeast(15.0), " ×"), times));
            }
        }
    }
    rows
}
