"""filelock's own tests, unchanged, with the locks of `prwlock.compat.filelock`.

They need pytest-asyncio, pytest-mock and pytest-timeout, and the source distribution of filelock from PyPI.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

VERSION = "3.32.7"
PLUGINS = ("pytest_asyncio", "pytest_mock", "pytest_timeout")
SHIM = Path(__file__).parent / "as_filelock"

#: The tests that do not apply, by file and reason. A test that uses a private module is skipped without being named.
LEFT_OUT: dict[str, dict[str, str]] = {
    "test_filelock.py": {
        "the lock is no descriptor that is opened, locked, truncated or found again after it was unlinked": """
            test_waiter_fd_cannot_split_lock_after_release test_stale_inode_retry_on_unlinked_lock
            test_permission_error_fallback_without_o_creat test_permission_error_propagates_when_file_missing
            test_sticky_bit_fallback_handles_concurrent_unlink test_filenotfound_on_fuse_nfs_retries
            test_winner_truncates_stale_content test_post_lock_truncate_failure_closes_fd
            test_flock_not_implemented_unix test_strict_lock_reports_unsupported_without_os_link
        """,
        "a file that cannot be written does not matter, because it is not the lock": "test_soft_errors",
        "a link to a path names the same lock": """
            test_final_symlink_stays_a_distinct_key test_final_symlink_backend_refuses_to_lock
        """,
        "the wait is the daemon's, so nothing sleeps for a poll_interval": """
            test_poll_interval_used_by_context_manager test_poll_interval_acquire_override
        """,
        "the text of a log": "test_cancel_check_log_message",
        "reads or patches private attributes": """
            test_close_error_default_suppressed_on_unix test_close_error_suppress
            test_close_error_raise_is_exact_and_committed test_close_not_reached_when_unlock_fails
            test_dual_body_and_close_failure_grouped
            test_rollback_failed_acquire_groups_registration_and_release_failures
            test_soft_release_groups_close_and_cleanup_failures
            test_soft_windows_unlink_stops_on_non_permission_error
            test_undo_acquire_keeps_registry_entry_while_still_held
        """,
    },
    "test_async_filelock.py": {
        "a subclass brings its own way to lock, which is refused": """
            test_coroutine_function test_coroutine_acquire_without_holding_polls_and_skips_on_acquired
            test_context_group_preserves_user_release_cancellation_group
        """,
        "a file that cannot be written does not matter": "test_async_zero_write_rolls_back_acquire",
        "the text of a log": "test_wait_message_logged test_cancel_check_log_message",
        "reads or patches private attributes": """
            test_soft_close_error_policy_cleans_marker test_soft_close_error_suppression_releases_once
            test_soft_context_surfaces_close_error_after_cleanup
            test_soft_second_release_does_not_close_reused_descriptor
            test_close_after_commit_ignores_other_descriptors test_close_error_raise_propagates
            test_close_error_default_suppressed_on_unix
        """,
    },
    "test_async_read_write.py": {
        "no executor is needed, so none is made": """
            test_close_shuts_down_owned_executor test_del_shuts_down_owned_executor
        """,
    },
    "test_read_write_unit.py": {
        "reads or patches private attributes": """
            test_init_sets_attributes test_acquire_release_write
            test_release_force_closes_lingering_connection_at_zero_level test_non_blocking_transaction_lock_timeout
            test_non_blocking_with_timeout_no_value_error test_finite_timeout_transaction_lock
            test_double_check_read_reentrance test_double_check_write_reentrance test_double_check_wrong_mode_raises
            test_meta_resets_class_state_after_pid_change test_finish_connection_chains_rollback_then_close_error
            test_finish_connection_skips_rollback_when_already_released test_dropping_a_lock_closes_its_connection
            test_connection_close_from_another_process_leaves_it_open
        """,
    },
    "test_lock_expiry.py": {
        "a file that another program has written is no lock": """
            test_soft_non_expired_lock_not_broken test_soft_lifetime_none_no_expiry
            test_async_soft_non_expired_lock_not_broken
        """,
    },
    "test_subclass_options.py": {
        "sets the private attribute that gives a lock a lifetime": """
            test_narrow_sync_subclass_rejects_non_default_option test_sync_subclass_forwards_kwargs
            test_async_subclass_forwards_kwargs
        """,
    },
    "test_error.py": {},
    "test_read_write.py": {},
    "test_lifetime_validation.py": {},
    "test_soft_lifetime_warning.py": {},
}


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of filelock's source distribution: a given one, or unpacked from PyPI."""
    missing = [name for name in PLUGINS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"plugins of pytest are not installed: {', '.join(missing)}")
    chosen = os.environ.get("PRWLOCK_FILELOCK")
    if chosen:
        return Path(chosen)
    folder = tmp_path_factory.mktemp("filelock")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    loaded = subprocess.run(
        [*command, f"filelock=={VERSION}", "--dest", str(folder)], capture_output=True, text=True, check=False
    )
    if loaded.returncode != 0:
        pytest.skip(f"filelock cannot be downloaded: {loaded.stderr.strip().splitlines()[-1:]}")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder / f"filelock-{VERSION}"


@pytest.mark.parametrize("file", LEFT_OUT)
def test_its_own_tests_pass(file: str, original: Path, home: Path) -> None:
    import prwlock

    places = [SHIM, Path(prwlock.__file__).parents[1], original, original / "tasks"]
    names = [name for group in LEFT_OUT[file].values() for name in group.split()]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LEFT_OUT": " ".join(f"{file}::{name}" for name in names),
    }
    options = ["-q", "--tb=short", "-p", "left_out", "-p", "no:cacheprovider", "-p", "no:randomly", "--timeout=60"]
    # Warnings are errors there, also those of other plugins and of processes that fork with threads.
    settings = ["-o", "filterwarnings=default", "-o", "pythonpath=", "-o", "addopts="]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *settings, f"tests/{file}"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=original,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
