//! The promises of `netd_kernel::Kernel`, one test each, for any machine: the fake and Linux.
//!
//! Knows of a machine only what [`Machine`] says. Where the kernel answers later, a test waits for the condition.

#![allow(
    unreachable_pub,
    reason = "each test binary has this as a module of its own"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot make its values shall fail"
)]

pub mod bridges;
pub mod links;
pub mod machine;
pub mod ports;
pub mod random;
pub mod rates;
pub mod routes;
pub mod sandboxes;
pub mod wish;

pub use machine::Machine;

/// Makes a test of each promise, on machines that `$new` makes.
macro_rules! contract_suite {
    ($new:expr, $cases:expr) => {
        contract_suite!(@each $new, links:
            what_was_applied_is_observed_and_needs_no_step,
            a_state_without_ipv6_is_observed_too,
            a_link_is_deleted_only_under_its_mark,
            what_was_deleted_is_out_of_use_at_once,
            a_pair_under_a_taken_name_leaves_nothing,
            a_stolen_link_is_told_of_and_made_anew,
            a_failing_step_stops_the_list_and_is_named,
        );
        contract_suite!(@each $new, bridges:
            a_bridge_under_a_taken_name_leaves_the_stranger_alone,
            only_a_bridge_has_ports,
            a_deleted_bridge_cuts_its_ports_off,
            a_bridge_keeps_its_mac_and_mtu_as_ports_come_and_go,
            a_card_joins_a_bridge_and_what_is_another_s_stays_there,
            a_filtered_bridge_stays_so_until_it_is_changed_back,
            foreign_objects_are_shown_when_named_and_stay_untouched,
        );
        contract_suite!(@each $new, rates:
            limits_are_observed_where_they_are_asked_about,
            what_was_taken_from_a_limit_is_told_of_and_put_back,
            an_ifb_goes_with_its_pair_and_no_stranger_s_does,
            every_rate_and_burst_is_observed_as_it_was_set,
            limits_stay_when_the_daemon_is_another,
        );
        contract_suite!(@each $new, routes:
            steps_may_be_repeated,
            a_route_needs_a_way_to_its_gateway,
            a_route_leaves_by_the_interface_that_it_names,
            absent_parameters_are_told_apart,
            what_a_user_says_of_a_missing_parameter_is_refused,
            only_link_local_addresses_that_are_wished_for_are_seen,
            routed_subnets_are_the_others,
            a_route_of_the_host_stays_until_it_is_not_wished_for,
            the_host_s_links_are_told,
        );
        contract_suite!(@each $new, sandboxes:
            adopting_twice_gives_the_same_answer,
            what_is_no_sandbox_is_refused,
            descriptors_lead_to_namespaces,
            the_end_of_a_sandbox_is_told_though_it_is_pinned,
            a_sandbox_lives_until_its_last_process_ends,
            a_bound_file_keeps_a_sandbox_alive,
            what_is_not_pinned_is_out_of_reach,
            a_restarted_daemon_finds_its_sandbox_by_the_anchor,
            another_process_s_number_leads_nowhere,
            a_signal_reaches_only_the_process_that_was_meant,
            a_namespace_that_is_let_go_has_its_own_defaults_again,
            who_holds_a_sandbox_besides_others_is_known,
            a_resolver_gets_the_port_that_it_had,
        );
        contract_suite!(@each $new, ports:
            ports_are_reserved_all_or_none,
            a_taken_port_names_its_holder,
            reserving_again_changes_nothing,
            released_ports_are_free,
            only_addresses_of_the_host_have_ports,
        );

        #[test]
        fn random_wishes_come_true_and_then_need_no_step() {
            contract::random::random_wishes_come_true(&mut $new, $cases);
        }
    };
    (@each $new:expr, $module:ident: $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                contract::$module::$name(&mut $new);
            }
        )*
    };
}
pub(crate) use contract_suite;
