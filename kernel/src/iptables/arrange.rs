//! The steps from what stands in one chain to what is wanted there. Pure; knows neither tables nor programs.

use std::collections::HashMap;

use super::rules::Hold;
use super::standing::Line;

/// Steps for one chain, to be made in the order of the fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// Empty the chain first. Then there is nothing to delete, and all is inserted.
    pub(super) empty: bool,
    /// Rules to delete, each by its text: the first of that text goes.
    pub(super) deletes: Vec<String>,
    /// Rules to insert, with their places, counted from 0 when the rules before are in.
    pub(super) inserts: Vec<Insert>,
    /// What stands then.
    pub(super) after: Vec<Line>,
}

/// One rule to insert.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Insert {
    /// Where it stands then, counted from 0.
    pub(super) place: usize,
    /// Whether that is the end at that time.
    pub(super) at_end: bool,
    /// The rule.
    pub(super) rule: String,
}

impl Steps {
    /// True if the chain stays as it is.
    pub(super) fn is_empty(&self) -> bool {
        !self.empty && self.deletes.is_empty() && self.inserts.is_empty()
    }
}

/// What a standing line is to us.
#[derive(Clone, Copy)]
enum Role {
    /// The wanted rule of this index, in its right order.
    Kept(usize),
    /// To be deleted: surplus, or in the wrong place.
    Dropped,
    /// Not ours.
    Foreign,
}

/// Steps to make `wanted` (distinct rules) stand in a chain that holds `old`, as far as `hold` says it is ours.
/// `None` if it does so already; no steps, but what stands with its owners, if that is all there is to learn. About
/// n log n, whatever the difference.
pub(super) fn arrange(old: &[Line], wanted: &[String], hold: Hold) -> Option<Steps> {
    let whole = hold == Hold::Whole;
    if stands(old, wanted, hold) {
        return None;
    }
    let Some(roles) = roles(old, wanted, hold) else {
        return Some(rewrite(wanted));
    };
    let deletes: Vec<String> = old
        .iter()
        .zip(&roles)
        .filter(|(_, role)| matches!(role, Role::Dropped))
        .map(|(line, _)| line.rule.clone())
        .collect();
    if whole && search_steps(&roles) > REWRITE_FACTOR * wanted.len() && deletes.len() > MANY {
        return Some(rewrite(wanted));
    }
    Some(place(old, &roles, deletes, (wanted, hold)))
}

/// Whether `wanted` stands already. Cheap, since mostly it does.
fn stands(old: &[Line], wanted: &[String], hold: Hold) -> bool {
    let ours = old
        .iter()
        .filter(|line| line.ours || hold == Hold::Whole)
        .map(|line| &line.rule);
    let on_top = || old.iter().map(|line| &line.rule).take(wanted.len());
    ours.eq(wanted) && (hold != Hold::Top || on_top().eq(wanted))
}

/// iptables-nft looks for a rule to delete by comparing text after text, 1.6 us each; adding a rule takes 18 us
/// (1.8.9, measured). So emptying and filling a chain is the faster way when all searches together pass more than 10
/// times its rules.
const REWRITE_FACTOR: usize = 10;
/// Up to this many deletions are made one by one, which keeps the packet counters of the other rules.
const MANY: usize = 16;

/// Rules that iptables will pass in its searches for those to delete.
fn search_steps(roles: &[Role]) -> usize {
    let mut standing = 0;
    let mut steps = 0;
    for role in roles {
        match role {
            Role::Dropped => steps += standing,
            Role::Kept(_) | Role::Foreign => standing += 1,
        }
    }
    steps
}

/// Empties the chain and fills it.
fn rewrite(wanted: &[String]) -> Steps {
    let insert = |(place, rule): (usize, &String)| Insert {
        place,
        at_end: true,
        rule: rule.clone(),
    };
    Steps {
        empty: true,
        deletes: Vec::new(),
        inserts: wanted.iter().enumerate().map(insert).collect(),
        after: wanted.iter().map(|rule| our_line(rule)).collect(),
    }
}

fn our_line(rule: &str) -> Line {
    Line {
        rule: rule.to_owned(),
        ours: true,
    }
}

/// What each line is, or `None` if one of a chain of our own stands there twice: deleting by text would then take the
/// wrong one.
fn roles(old: &[Line], wanted: &[String], hold: Hold) -> Option<Vec<Role>> {
    let index: HashMap<&str, usize> = wanted
        .iter()
        .enumerate()
        .map(|(place, rule)| (rule.as_str(), place))
        .collect();
    let mut met = vec![false; wanted.len()];
    let mut roles = Vec::with_capacity(old.len());
    // Lines that may stay where they are, as (line, index of the wanted rule).
    let mut candidates = Vec::new();
    let mut foreign_above = false;
    for (at, line) in old.iter().enumerate() {
        match index.get(line.rule.as_str()) {
            // In a shared chain a second copy is somebody's. It does no harm: the first has decided.
            Some(place) if met[*place] => {
                if hold == Hold::Whole {
                    return None;
                }
                foreign_above = true;
                roles.push(Role::Foreign);
            }
            Some(place) => {
                met[*place] = true;
                if !(hold == Hold::Top && foreign_above) {
                    candidates.push((at, *place));
                }
                roles.push(Role::Dropped);
            }
            None if line.ours || hold == Hold::Whole => roles.push(Role::Dropped),
            None => {
                foreign_above = true;
                roles.push(Role::Foreign);
            }
        }
    }
    for (at, place) in longest_ascent(&candidates) {
        roles[at] = Role::Kept(place);
    }
    Some(roles)
}

/// The longest part of `pairs` in which the second number ascends (patience sorting).
fn longest_ascent(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // ends[n] is the pair with the lowest number that ends an ascent of n + 1; before[i] the one that i follows.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, (_, number)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *number);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut ascent = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        ascent.push(pairs[at]);
        next = before[at];
    }
    ascent.reverse();
    ascent
}

/// Puts the wanted rules that are not kept into their places: in front of the next one that is, at the end if there is
/// none; at the top of the chain, in front of what is not ours, if that is how we hold it.
fn place(
    old: &[Line],
    roles: &[Role],
    deletes: Vec<String>,
    (wanted, hold): (&[String], Hold),
) -> Steps {
    let stay = roles
        .iter()
        .filter(|role| !matches!(role, Role::Dropped))
        .count();
    let mut steps = Steps {
        deletes,
        ..Steps::default()
    };
    let mut next = 0;
    let mut insert_up_to = |steps: &mut Steps, limit: usize| {
        while next < limit {
            let place = steps.after.len();
            let at_end = place == stay + steps.inserts.len();
            steps.inserts.push(Insert {
                place,
                at_end,
                rule: wanted[next].clone(),
            });
            steps.after.push(our_line(&wanted[next]));
            next += 1;
        }
        next = limit + 1;
    };
    for (line, role) in old.iter().zip(roles) {
        match role {
            Role::Kept(index) => {
                insert_up_to(&mut steps, *index);
                steps.after.push(our_line(&line.rule));
            }
            Role::Foreign => {
                if hold == Hold::Top {
                    insert_up_to(&mut steps, wanted.len());
                }
                steps.after.push(Line {
                    rule: line.rule.clone(),
                    ours: false,
                });
            }
            Role::Dropped => {}
        }
    }
    insert_up_to(&mut steps, wanted.len());
    steps
}
