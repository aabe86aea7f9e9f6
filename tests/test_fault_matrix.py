"""The faults that the library is built for, each with its right outcome and the tests that show it.

A row counts only by tests that would fail if the outcome were another. Rows marked `real` were chosen to be shown over
real sockets, files or processes and not in a simulated world alone: ordinary tests here talk over loopback sockets in a
loop whose clock jumps, those marked `e2e` run processes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any

import attrs
import pytest

HERE = Path(__file__).parent

BATCH = "test_batch.py::"
CALLER = "test_caller.py::"
CANCEL = "test_cancel.py::"
CLI = "test_cli.py::"
CLIENT = "test_client.py::"
DECODE = "test_decode.py::"
ENVIRONMENT = "test_faults_environment.py::"
JOURNAL = "test_faults_journal.py::"
PACING = "test_pacing.py::"
POLL = "test_faults_poll.py::"
PROTOCOL = "test_protocol.py::"
RECONCILE = "test_reconcile.py::"
SESSION = "test_session.py::"
SUBMIT = "test_faults_submit.py::"
TRANSPORT = "test_transport.py::"

UNKNOWN = BATCH + "test_an_unknown_outcome_is_never_sent_again_and_its_clip_is_not_lost"
AFTER_A_BYTE = TRANSPORT + "test_a_failure_after_a_byte_was_sent_leaves_the_outcome_of_a_paid_request_unknown"
FREE = TRANSPORT + "test_the_same_failures_of_a_request_that_costs_nothing_are_no_exception_either"
POLLS = BATCH + "test_poll_troubles_say_nothing_about_a_task"
REFUSED = BATCH + "test_a_refusal_that_concerns_all_stops_submits_and_lets_the_rest_finish"
NO_MORE = SUBMIT + "test_no_submit_begins_once_one_was_refused_for_the_key_or_the_credits"
CAPPED = TRANSPORT + "test_an_answer_is_read_up_to_its_cap"
REDIRECT = TRANSPORT + "test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else"
CERTIFICATE = ENVIRONMENT + "test_a_bad_certificate_ends_the_upload_at_once_and_nothing_is_sent"
KILLED_AT_RANDOM = (
    JOURNAL + "test_killed_at_twenty_random_moments_the_command_line_pays_for_nothing_twice_and_loses_no_clip"
)
FULL_DISK = JOURNAL + "test_the_command_line_on_a_full_disk_sends_nothing_that_it_cannot_write_down_and_says_so"


@attrs.frozen
class Row:
    """One fault.

    Attributes:
        number: `F01` and so on.
        fault: What goes wrong, and the right outcome.
        tests: The tests that show it, as pytest names them below this folder; without `[...]` all of a test's cases.
        real: Whether it has to be shown over real sockets, files or processes.
        exempt: Why a row has no test here.
    """

    number: str
    fault: str
    tests: tuple[str, ...] = ()
    real: bool = attrs.field(default=False, kw_only=True)
    exempt: str | None = attrs.field(default=None, kw_only=True)


MATRIX = (
    # ------------------------------------------------------------------------------------------- the paid request
    Row(
        "F01",
        "A submit's connection is refused: it wasn't sent; tried again within one quota of retries for the client.",
        (
            TRANSPORT + "test_a_refused_connection_proves_that_nothing_was_sent",
            BATCH + "test_an_outage_of_seconds_is_outlived",
            BATCH + "test_a_service_that_goes_away_leaves_the_rest_not_submitted",
            SUBMIT + "test_an_outage_costs_the_client_one_quota_of_retries_and_not_one_for_each_item",
        ),
        real=True,
    ),
    Row(
        "F02",
        "A submit is reset before the server has read it: unknown, for it looks like the next row; never sent again.",
        (AFTER_A_BYTE + "[reset right after accept]", UNKNOWN + "[reset before the work]"),
        real=True,
    ),
    Row(
        "F03",
        "A submit is reset after it was processed: unknown, no second request; the session's list names its clip.",
        (
            AFTER_A_BYTE + "[reset after reading]",
            UNKNOWN + "[reset after the work]",
            SUBMIT + "test_a_lost_answer_is_settled_by_the_sessions_list_and_not_by_a_second_request",
        ),
        real=True,
    ),
    Row(
        "F04",
        "A submit's connection is closed without an answer: unknown, never sent again.",
        (AFTER_A_BYTE + "[FIN without an answer]", UNKNOWN + "[FIN after the work]"),
        real=True,
    ),
    Row(
        "F05",
        "No connection for a submit comes about in time: it wasn't sent, and may be tried again.",
        (
            SUBMIT + "test_a_server_that_takes_no_connections_is_tried_again_and_never_sent_anything",
            TRANSPORT + "test_a_connection_that_is_not_accepted_in_time_proves_that_nothing_was_sent",
        ),
        real=True,
    ),
    Row(
        "F06",
        "A submit stalls while its body is written: unknown if a byte has left, else not sent.",
        (
            SUBMIT + "test_a_request_that_nobody_reads_counts_as_sent_however_little_of_it_has_arrived",
            PROTOCOL + "test_only_a_body_of_which_no_byte_left_in_one_attempt_is_proven_unsent",
        ),
    ),
    Row(
        "F07",
        "A submit's answer never comes: unknown when its time is over; its place goes to the next item.",
        (
            UNKNOWN + "[no answer after the work]",
            UNKNOWN + "[no answer, no work]",
            AFTER_A_BYTE + "[no answer in time]",
            SUBMIT + "test_a_request_without_an_answer_gives_its_place_back_to_the_next",
        ),
        real=True,
    ),
    Row(
        "F08",
        "A submit goes out on a dead connection: unknown; connections idle for seconds only. Polls are repeated.",
        (
            TRANSPORT + "test_a_stale_connection_that_is_reset_on_reuse_leaves_the_outcome_unknown",
            SUBMIT + "test_a_connection_that_has_idled_for_longer_than_keep_alive_is_not_used_again",
            POLLS + "[Cut(after_work=False, graceful=False)]",
        ),
        real=True,
    ),
    Row(
        "F09",
        "A poll fails in whatever way: that says nothing about the task, which is asked for less and less often.",
        (
            POLLS,
            FREE,
            POLL + "test_a_task_whose_polls_go_wrong_is_asked_for_less_and_less_often",
        ),
        real=True,
    ),
    Row(
        "F10",
        "429 with `Retry-After: 7`: turned away; nobody who uses the client goes sooner, the item is sent again then.",
        (
            SUBMIT + "test_a_429_holds_every_coroutine_of_the_client_back_for_as_long_as_it_says",
            BATCH + "test_a_429_pauses_every_request_for_as_long_as_the_service_says",
            BATCH + "test_refusals_use_up_nobodys_tries",
            CLIENT + "test_clients_that_share_a_pace_pause_together",
        ),
    ),
    Row(
        "F11",
        "`Retry-After` as a date, in the past, far off, negative, garbage: a wait within bounds, by the server's "
        "clock; beyond the deadline the error holds the hint.",
        (
            SUBMIT + "test_a_hint_of_any_form_becomes_a_wait_within_bounds",
            SUBMIT + "test_a_hint_beyond_the_deadline_is_in_the_error_of_what_could_not_be_submitted",
            DECODE + "test_retry_after_is_read_as",
            PACING + "test_after_a_refusal_nobody_goes_before_the_hint_is_over",
        ),
    ),
    Row(
        "F12",
        "Nothing but 429 for an hour: patience or the deadline ends it, the rest is not submitted, the exit code says "
        "so.",
        (
            BATCH + "test_a_service_that_only_refuses_ends_the_batch_after_ten_minutes",
            SUBMIT + "test_an_hour_of_429_ends_within_the_deadline_with_nothing_submitted",
            SUBMIT + "test_the_exit_code_says_that_a_service_which_only_refuses_left_the_rest_undone",
        ),
    ),
    Row(
        "F13",
        "A submit is answered 500, 502 or 504: unknown, since a gateway may hide a success.",
        (UNKNOWN + "[500]", UNKNOWN + "[502 page]", UNKNOWN + "[504 after the work]"),
    ),
    Row(
        "F14",
        "503 that says no account is available: turned away, tried again later; any other 503: unknown.",
        (
            BATCH + "test_a_busy_service_is_asked_again_and_nothing_is_paid_twice",
            UNKNOWN + "[other 503]",
            PROTOCOL + "test_a_503_is_a_refusal_only_with_the_known_text",
        ),
    ),
    Row(
        "F15",
        "An HTML page with 200 or 502: unknown; a short excerpt without secrets is kept.",
        (
            UNKNOWN + "[200 page]",
            UNKNOWN + "[502 page]",
            SUBMIT + "test_the_page_of_a_gateway_is_kept_as_a_short_excerpt_without_the_key",
        ),
        real=True,
    ),
    Row(
        "F16",
        "JSON that is cut short: unknown, unless the task's id had arrived whole.",
        (
            UNKNOWN + "[201 cut in the id]",
            BATCH + "test_a_task_id_that_arrived_whole_in_a_cut_answer_is_used",
            TRANSPORT + "test_a_task_id_that_arrived_whole_before_the_connection_broke_is_not_lost",
        ),
        real=True,
    ),
    Row(
        "F17",
        "Answers of another shape (types, null, list, envelope, fields more or fewer): read as far as they make sense; "
        "without an id the outcome is unknown.",
        (
            PROTOCOL + "test_a_2xx_with_a_whole_task_id_is_accepted",
            PROTOCOL + "test_a_2xx_without_a_whole_task_id_leaves_the_outcome_unknown",
            UNKNOWN + "[201 without an id]",
            UNKNOWN + "[201 with a null id]",
            UNKNOWN + "[201 list]",
            BATCH + "test_every_vocabulary_of_the_service_is_understood[no-createdAt]",
            BATCH + "test_every_vocabulary_of_the_service_is_understood[extra-fields]",
        ),
    ),
    # ------------------------------------------------------------------------------------ polls and the session's list
    Row(
        "F18",
        "A status that nobody knows: not an end, told once; the stall rule makes it undetermined, never failed.",
        (
            POLL + "test_a_status_that_nobody_knows_is_waited_out_and_ends_undetermined_by_the_stall_rule",
            BATCH + "test_every_vocabulary_of_the_service_is_understood[unknown-status]",
            CLIENT + "test_a_status_that_is_new_to_us_is_told_once",
            DECODE + "test_a_status_that_is_an_end_is_one_whatever_its_case",
        ),
    ),
    Row(
        "F19",
        "A status that goes back: a success stays one; a failure that turns out a success becomes one and is told.",
        (
            POLL + "test_a_success_stays_one_whatever_the_service_says_afterwards",
            POLL + "test_a_status_that_goes_back_before_the_end_is_no_end",
            POLL + "test_a_failure_that_turns_out_a_success_is_a_success",
            POLL + "test_a_clip_of_a_task_that_said_failed_is_not_lost",
        ),
    ),
    Row(
        "F20",
        "Success without data: asked for a bounded time, then success without a clip, which elimination may find.",
        (
            BATCH + "test_a_success_that_names_its_clip_late_is_asked_again",
            POLL + "test_a_success_without_a_clip_is_asked_for_a_bounded_time_and_its_clip_sought_by_elimination",
        ),
    ),
    Row(
        "F21",
        "The clip of an item that timed out or failed lands later: it is reported, and the item was not sent again.",
        (
            POLL + "test_clips_that_land_after_their_tasks_had_ended_are_reported_and_nothing_is_sent_again",
            SESSION + "test_a_clip_that_lands_between_two_checks_is_found_by_the_second",
            JOURNAL + "test_a_clip_that_lands_long_after_its_item_had_failed_is_found_by_a_resume",
            SESSION + "test_a_url_that_timed_out_is_not_paid_for_again_by_handing_it_in_again",
        ),
    ),
    Row(
        "F22",
        "The session's list lags behind: the item's own task is the truth; the list is read again, a gap is told.",
        (
            BATCH + "test_a_list_that_lags_is_read_again",
            BATCH + "test_a_deadline_that_passes_during_the_final_check_has_stopped_nothing",
        ),
    ),
    Row(
        "F23",
        "The session's list never shows a clip that we hold: the clip is kept, and reported as missing there.",
        (BATCH + "test_a_clip_that_the_list_never_shows_is_kept_and_reported_missing",),
    ),
    Row(
        "F24",
        "The session's list has an id that belongs to no item: reported, never dropped.",
        (
            BATCH + "test_a_clip_that_the_list_never_shows_is_kept_and_reported_missing",
            BATCH + "test_a_clip_that_the_list_showed_once_is_not_lost_when_a_later_reading_leaves_it_out",
        ),
    ),
    Row(
        "F25",
        "An id twice in the list, or named by two tasks: counted once, and both items are marked.",
        (
            POLL + "test_a_list_that_repeats_an_id_counts_it_once_and_says_so",
            BATCH + "test_two_tasks_that_name_one_clip_are_marked",
        ),
    ),
    Row(
        "F26",
        "The server made two tasks of one request: both clips are reported, nothing is done about it.",
        (POLL + "test_a_second_task_that_the_server_made_of_one_request_is_reported_beside_the_first",),
    ),
    Row(
        "F27",
        "404 for a task that was just accepted: given time before anything is concluded.",
        (
            POLL + "test_an_accepted_task_that_is_not_found_at_first_is_given_half_a_minute",
            BATCH + "test_a_task_that_the_service_forgets_ends_undetermined",
        ),
    ),
    # ------------------------------------------------------------------------------------------ kills and the journal
    Row(
        "F28",
        "A cancel at any moment: out within the bound; requests without an answer are unknown; a resume completes it.",
        (
            CANCEL + "test_cancelling_a_batch_leaves_nothing_behind",
            CANCEL + "test_a_request_without_an_answer_is_unknown_after_the_grace",
            JOURNAL + "test_a_batch_that_was_cancelled_at_any_moment_is_completed_by_a_resume",
            JOURNAL + "test_a_request_whose_answer_did_not_come_within_the_grace_is_held_by_the_resume",
        ),
        real=True,
    ),
    Row(
        "F29",
        "Two cancels, or one during a commit: the commit is finished, the second skips the wait alone.",
        (
            JOURNAL + "test_a_cancel_during_a_commit_neither_loses_the_commit_nor_sends_what_it_was_for",
            CANCEL + "test_a_second_cancel_cuts_the_grace_short",
        ),
    ),
    Row(
        "F30",
        "Killed before the intent is durable: nothing was sent, the item is new.",
        (
            JOURNAL + "test_killed_before_the_intent_was_durable_the_item_is_new_and_sent_once_by_the_resume",
            KILLED_AT_RANDOM,
        ),
        real=True,
    ),
    Row(
        "F31",
        "Killed after the intent, before a byte: unknown and held; sent again on its owner's word alone.",
        (
            JOURNAL + "test_killed_after_the_intent_and_before_a_byte_the_item_is_held_until_its_owner_says_otherwise",
            JOURNAL + "test_killed_after_the_intent_and_before_a_byte_the_item_is_sent_again_on_its_owners_word",
            KILLED_AT_RANDOM,
        ),
        real=True,
    ),
    Row(
        "F32",
        "Killed after sending, before the answer: unknown, until the session's list settles it.",
        (JOURNAL + "test_killed_between_the_request_and_its_answer_the_clip_is_found_in_the_list", KILLED_AT_RANDOM),
        real=True,
    ),
    Row(
        "F33",
        "Killed after the answer, before its task id is durable: unknown; the clip appears in the session's list.",
        (JOURNAL + "test_killed_between_the_answer_and_its_task_id_the_clip_is_found_in_the_list", KILLED_AT_RANDOM),
        real=True,
    ),
    Row(
        "F34",
        "Killed while it reconciles or reports: another run says the same.",
        (JOURNAL + "test_killed_while_it_reconciles_every_later_run_says_the_same_and_sends_nothing",),
        real=True,
    ),
    Row(
        "F35",
        "Power loss takes what was not synced: an intent that was acknowledged is there.",
        (
            JOURNAL + "test_an_intent_survives_whatever_a_power_loss_does_to_what_was_not_synced",
            JOURNAL + "test_what_is_acknowledged_was_synced",
        ),
    ),
    Row(
        "F36",
        "The disk is full when an intent is written: no request; what is in flight ends and is reported; the exit code "
        "is that of the journal.",
        (JOURNAL + "test_a_disk_that_is_full_at_an_intent_keeps_the_request_back_and_loses_nothing", FULL_DISK),
        real=True,
    ),
    Row(
        "F37",
        "The disk is full when a task id is written: kept, tried again, printed, reported; never dropped.",
        (
            JOURNAL + "test_a_disk_that_is_full_at_a_task_id_loses_no_clip_that_was_paid_for",
            JOURNAL + "test_a_task_id_that_could_not_be_written_for_a_while_is_written_then",
            FULL_DISK,
        ),
    ),
    Row(
        "F38",
        "Two processes on one journal: the second is told at once.",
        (
            JOURNAL + "test_a_journal_that_another_process_holds_is_left_to_it_even_while_it_is_paused[working]",
            JOURNAL + "test_a_second_batch_on_the_same_journal_is_told_at_once",
            JOURNAL + "test_a_second_command_on_the_same_journal_ends_at_once_and_asks_nobody",
        ),
        real=True,
    ),
    Row(
        "F39",
        "Two machines on one batch: one holds the epoch, the other's claim matches no row.",
        exempt="concerns several machines: shown where the journal is in PostgreSQL",
    ),
    Row(
        "F40",
        "A process that was paused wakes up: on one machine it still holds the journal, so that nobody has taken over; "
        "between machines its claims fail by their epoch (shown where the journal is in PostgreSQL).",
        (JOURNAL + "test_a_journal_that_another_process_holds_is_left_to_it_even_while_it_is_paused[paused]",),
        real=True,
    ),
    # --------------------------------------------------------------------------------------------------- surroundings
    Row(
        "F41",
        "The wall clock jumps: waits, deadlines and outcomes don't depend on it.",
        (
            ENVIRONMENT + "test_a_wall_clock_that_jumps_changes_neither_waits_nor_outcomes",
            ENVIRONMENT + "test_a_deadline_is_met_on_the_dot_whatever_the_wall_clock_says",
        ),
    ),
    Row(
        "F42",
        "A machine that slept: all timers are late at once, every connection is dead; no stampede, nothing sent again.",
        (
            ENVIRONMENT + "test_a_machine_that_slept_finds_its_uploads_again_without_a_stampede",
            ENVIRONMENT + "test_requests_that_were_on_their_way_when_the_machine_fell_asleep_are_not_repeated",
            BATCH + "test_a_loop_that_was_blocked_for_long_does_not_make_the_batch_look_dead",
        ),
    ),
    Row(
        "F43",
        "A name that doesn't resolve, or does so later, or a dead IPv6: not sent; the other address is used.",
        (
            ENVIRONMENT + "test_a_name_that_is_unknown_for_a_while_is_looked_up_again_and_paid_for_once",
            ENVIRONMENT + "test_a_name_that_stays_unknown_ends_with_nothing_sent",
            ENVIRONMENT + "test_a_dead_ipv6_does_not_keep_an_upload_from_going_over_ipv4",
            TRANSPORT + "test_a_name_that_does_not_resolve_proves_that_nothing_was_sent",
        ),
        real=True,
    ),
    Row(
        "F44",
        "A certificate that is expired or another's: the end, no second try; a handshake that is cut: not sent; never "
        "in the clear.",
        (
            CERTIFICATE + "[expired]",
            CERTIFICATE + "[for another address]",
            CERTIFICATE + "[for a name]",
            TRANSPORT + "test_a_certificate_that_does_not_hold_is_permanent_and_proves_that_nothing_was_sent",
            ENVIRONMENT + "test_a_handshake_that_is_cut_is_tried_again_and_paid_for_once",
            ENVIRONMENT + "test_a_server_that_speaks_no_tls_is_never_spoken_to_in_the_clear",
        ),
        real=True,
    ),
    Row(
        "F45",
        "Headers or bodies that drip: cut off by the time for the whole; a submit is unknown, a poll asked again.",
        (
            AFTER_A_BYTE + "[headers drip]",
            AFTER_A_BYTE + "[body drips]",
            FREE + "[headers drip]",
            FREE + "[body drips]",
            ENVIRONMENT + "test_answers_that_drip_are_cut_off_and_only_polls_are_asked_again",
        ),
        real=True,
    ),
    Row(
        "F46",
        "Bombs, endless bodies and headers, a list of a million ids: read up to a cap; a submit is unknown, polls end "
        "by the stall rule, a list is tried a few times.",
        (
            CAPPED + "[gzip bomb-paid]",
            CAPPED + "[endless chunks-paid]",
            CAPPED + "[gzip bomb-free]",
            CAPPED + "[endless chunks-free]",
            AFTER_A_BYTE + "[endless headers]",
            UNKNOWN + "[too long]",
            POLL + "test_polls_that_are_always_too_large_end_by_the_stall_rule_and_disturb_no_other_item",
            POLL + "test_a_list_of_a_million_ids_is_not_read_into_memory_and_leaves_the_items_as_they_are",
        ),
        real=True,
    ),
    Row(
        "F47",
        "A redirect, to the same host or another: not followed, the key goes nowhere; a submit is unknown.",
        (
            REDIRECT,
            UNKNOWN + "[redirect to itself]",
            UNKNOWN + "[redirect elsewhere]",
            SUBMIT + "test_a_prepare_that_is_redirected_does_not_take_the_key_elsewhere",
        ),
        real=True,
    ),
    Row(
        "F48",
        "401 or 403 in mid-batch: no further submit; polls go on while they work; goes on later with a new key.",
        (
            NO_MORE + "[401]",
            NO_MORE + "[403]",
            REFUSED + "[key]",
            REFUSED + "[forbidden]",
            BATCH + "test_a_key_that_is_revoked_for_polls_too_does_not_keep_the_batch_waiting",
            SUBMIT + "test_what_a_refusal_left_over_goes_on_in_the_same_session_without_paying_twice[401]",
            JOURNAL + "test_a_resume_after_a_refusal_finds_out_by_one_request_whether_it_still_holds[401]",
        ),
    ),
    Row(
        "F49",
        "402, or words that say so under any status: no further submit, what was submitted ends, the rest may go on.",
        (
            NO_MORE + "[402]",
            REFUSED + "[credits]",
            SUBMIT + "test_the_words_insufficient_credits_are_understood_in_any_refusal",
            SUBMIT + "test_what_a_refusal_left_over_goes_on_in_the_same_session_without_paying_twice[402]",
            JOURNAL + "test_a_resume_after_a_refusal_finds_out_by_one_request_whether_it_still_holds[402]",
            BATCH + "test_the_words_insufficient_credits_stop_submits_but_the_status_makes_the_class",
        ),
    ),
    Row(
        "F50",
        "The session or its account is gone: the rest is not submitted, no other session is made, what is unknown "
        "stays with the old one.",
        (
            SUBMIT + "test_a_session_that_is_gone_is_not_replaced_by_another_account",
            SUBMIT + "test_a_lost_account_fails_what_it_had_and_no_new_session_is_made_of_itself",
            REFUSED + "[session gone]",
            BATCH + "test_an_account_that_is_lost_ends_the_session_and_what_it_had_taken_is_reported",
        ),
    ),
    Row(
        "F51",
        "Preparing fails or its answer is lost: repeated, since it costs nothing; one session is used.",
        (
            SUBMIT + "test_a_prepare_that_is_lost_is_repeated_and_only_one_session_is_used",
            BATCH + "test_preparing_is_repeated_after_any_trouble_since_it_costs_nothing",
        ),
    ),
    Row(
        "F52",
        "A URL twice, none, one, 100,000: uploaded once with a warning; an error before anything is sent; a batch; "
        "bounded memory.",
        (
            BATCH + "test_a_repeated_url_is_uploaded_once_and_its_entries_share_the_clip",
            BATCH + "test_a_repeated_url_is_uploaded_as_often_as_it_stands_there_if_asked_for",
            ENVIRONMENT + "test_a_batch_of_none_is_an_error_and_a_batch_of_one_is_a_batch",
            ENVIRONMENT + "test_a_hundred_thousand_urls_are_held_in_bounded_memory",
        ),
    ),
    Row(
        "F53",
        "A callback raises or blocks: no item's state depends on it; a loop that stood still is told.",
        (
            ENVIRONMENT + "test_a_callback_that_raises_at_every_event_changes_no_items_state",
            ENVIRONMENT + "test_a_callback_that_blocks_the_loop_changes_no_outcome_and_is_told",
            SESSION + "test_a_callback_that_lets_a_cancel_out_stops_nothing",
        ),
    ),
    Row(
        "F54",
        "A journal of a newer version, of other inputs, of another key: refused with an error that says which.",
        (
            JOURNAL + "test_a_journal_of_something_else_is_refused_with_what_it_is_and_nothing_is_sent",
            JOURNAL + "test_a_new_key_may_go_on_if_its_owner_says_so_and_no_key_is_in_the_journal",
            JOURNAL + "test_a_url_that_was_signed_anew_may_take_its_place_by_its_key",
        ),
    ),
    Row(
        "F55",
        "The loop is blocked for a minute: an answer that was there by then counts though its timer is late.",
        (ENVIRONMENT + "test_an_answer_that_came_while_the_loop_was_blocked_counts_though_its_timer_is_late",),
    ),
)

SOCKETS = frozenset({"world", "healthy", "RawServer", "Emulator", "Listener", "serving", "full"})
"""Names by which a test, or a helper of its module that it calls, shows that it talks over real sockets."""


@pytest.fixture(scope="module")
def collected() -> frozenset[str]:
    """The names of all tests that the table speaks of, as pytest collects them."""
    files = sorted({test.partition("::")[0] for row in MATRIX for test in row.tests})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return frozenset(line.removeprefix("tests/") for line in done.stdout.splitlines() if "::" in line)


def test_the_table_has_a_row_for_each_fault() -> None:
    assert [row.number for row in MATRIX] == [f"F{number:02}" for number in range(1, 56)]


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.number)
def test_every_row_names_tests_that_exist(row: Row, collected: frozenset[str]) -> None:
    assert len(set(row.tests)) == len(row.tests)
    for test in row.tests:
        assert test in collected or any(each.startswith(test + "[") for each in collected), test
    assert bool(row.tests) is not bool(row.exempt)


def function_of(test: str) -> Any:
    """A test's function, by its name in the table."""
    file, _, name = test.partition("::")
    return getattr(import_module(Path(file).stem), name.partition("[")[0])


def names_in(code: CodeType) -> Iterator[str]:
    """Every name that a function's code speaks of, arguments included."""
    yield from code.co_names
    yield from code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def is_real(test: str) -> bool:
    """Whether a test talks over real sockets, or runs processes."""
    function = function_of(test)
    module = sys.modules[function.__module__]
    marks = [getattr(module, "pytestmark", None), *getattr(function, "pytestmark", [])]
    if any(getattr(mark, "name", "") == "e2e" for mark in marks):
        return True
    reached, waiting = set[str](), [function]
    while waiting:
        for name in set(names_in(waiting.pop().__code__)) - reached:
            reached.add(name)
            helper = vars(module).get(name)
            if getattr(helper, "__module__", None) == module.__name__ and hasattr(helper, "__code__"):
                waiting.append(helper)
    return not reached.isdisjoint(SOCKETS)


@pytest.mark.parametrize("row", [row for row in MATRIX if row.real], ids=lambda row: row.number)
def test_a_row_that_must_be_shown_over_real_sockets_or_processes_is(row: Row) -> None:
    assert any(is_real(test) for test in row.tests)


def test_a_test_that_uses_nothing_real_is_not_taken_for_one_that_does() -> None:
    assert is_real(UNKNOWN)
    assert is_real(AFTER_A_BYTE)
    assert is_real(SUBMIT + "test_a_server_that_takes_no_connections_is_tried_again_and_never_sent_anything")
    assert is_real(CLI + "test_1_some_failed")
    assert not is_real(DECODE + "test_retry_after_is_read_as")
    assert not is_real(CALLER + "test_an_unknown_outcome_is_never_sent_again")
    assert not is_real(RECONCILE + "test_the_verdict_on")


def test_every_test_that_was_written_for_a_fault_is_in_the_table() -> None:
    named = {test.partition("[")[0] for row in MATRIX for test in row.tests}
    for path in sorted(HERE.glob("test_faults_*.py")):
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert f"{path.name}::{name}" in named
