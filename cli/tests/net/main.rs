//! The `net` program as a person starts it, before a daemon that only pretends. Needs root: `run` makes namespaces.

#[cfg(test)]
mod support;

#[cfg(test)]
mod detached;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod run;
#[cfg(test)]
mod shell;
#[cfg(test)]
mod verbs;
