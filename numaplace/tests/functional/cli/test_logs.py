# SPDX-License-Identifier: Apache-2.0
"""The log of the command: where the options of oslo.log say, in the form that they say; stderr stays as it is."""

import pytest

FORM = '[DEFAULT]\nlogging_default_format_string = %(levelname)s|%(message)s\n'
FAULT = "there is no host 'nope'"

# options, what the configuration says; {} is the directory
PLACES = {
    'an option': (['--log-file', '{}/numaplace.log'], ''),
    'a file': ([], 'log_file = {}/numaplace.log\n'),
    'a directory': ([], 'log_dir = {}\n'),
    'a file in a directory': ([], 'log_dir = {}\nlog_file = numaplace.log\n'),
    'an option before a file': (['--log-file', '{}/numaplace.log'], 'log_file = /nowhere/other.log\n'),
}


@pytest.mark.parametrize(('options', 'text'), PLACES.values(), ids=PLACES)
def test_a_fault_is_in_the_log_and_on_stderr(numaplace, options, text):
    numaplace.configure(more=FORM + text.format(numaplace.directory))
    done = numaplace.spawn(*[each.format(numaplace.directory) for each in options], 'host', 'show', 'nope')
    assert (1, '', f'numaplace: {FAULT}\n') == (done.returncode, done.stdout, done.stderr)
    assert f'ERROR|{FAULT}' in (numaplace.directory / 'numaplace.log').read_text()


def test_debug_of_the_configuration_is_that_of_the_command_line(numaplace):
    numaplace.configure(more='[DEFAULT]\ndebug = true\n')
    assert 'Traceback' in numaplace.spawn('host', 'show', 'nope').stderr


def test_syslog_alone_leaves_stdout_to_the_result(numaplace):
    numaplace.configure(more='[DEFAULT]\nuse_syslog = true\n')
    done = numaplace.spawn('host', 'list', '-f', 'json')
    assert (0, '[]\n') == (done.returncode, done.stdout)


@pytest.mark.parametrize('more', ['', 'log_file = {}/numaplace.log\n'], ids=['alone', 'beside a file'])
def test_without_the_library_of_the_journal_the_command_warns_once_and_goes_on(numaplace, more):
    blocked = numaplace.directory / 'blocked'
    blocked.mkdir()
    (blocked / 'systemd.py').write_text('raise ImportError')  # as if it were not installed, where it is
    numaplace.configure(more=f'{FORM}use_journal = true\n{more.format(numaplace.directory)}')
    done = numaplace.spawn('host', 'list', '-f', 'json', PYTHONPATH=str(blocked))
    assert (0, '[]\n', 1) == (done.returncode, done.stdout, done.stderr.count('\n'))
    warning = 'warning: [DEFAULT] use_journal has no effect: the Python package systemd-python is not installed'
    assert done.stderr.startswith(f'numaplace: {warning}')
    if more:
        assert f'WARNING|{warning}' in (numaplace.directory / 'numaplace.log').read_text()


FAULTS = {
    'a missing directory': (
        ['--log-file', '/nowhere/x.log'],
        '',
        "--log-file: the log '/nowhere/x.log' cannot be written",
    ),
    'a directory that is none': ([], 'log_dir = /dev/null', "[DEFAULT] log_file and log_dir: the log '/dev/null/"),
    'no truth value': ([], 'use_journal = perhaps', "[DEFAULT] use_journal = 'perhaps': expected true or false"),
    'a missing file of logging': ([], 'log_config_append = /nowhere/l.conf', 'the log cannot be set up: '),
    'an unknown rotation': (
        [],
        'log_file = x\nlog_rotation_type = odd',
        'Valid values are [interval, size, none], but',
    ),
}


@pytest.mark.parametrize(('options', 'text', 'words'), FAULTS.values(), ids=FAULTS)
def test_a_log_that_cannot_be_set_up_is_one_line(numaplace, options, text, words):
    numaplace.configure(more=f'[DEFAULT]\n{text}\n')
    done = numaplace.spawn(*options, 'host', 'list')
    assert (1, '', 1) == (done.returncode, done.stdout, done.stderr.count('\n'))
    assert done.stderr.startswith('numaplace: ')
    assert words in done.stderr


def test_without_log_options_oslo_log_is_not_imported(numaplace):
    """It would be a large part of what a short command takes."""
    done = numaplace.spawn('host', 'list', PYTHONPROFILEIMPORTTIME='1')
    assert 0 == done.returncode
    assert 'oslo_config.cfg' in done.stderr
    assert 'oslo_log.log' not in done.stderr


def test_alembic_says_something_in_the_log_alone(numaplace):
    """The first command creates the tables."""
    numaplace.configure(more=FORM + f'log_file = {numaplace.directory}/numaplace.log\n')
    done = numaplace.spawn('host', 'list', '-f', 'json')
    assert (0, '[]\n', '') == (done.returncode, done.stdout, done.stderr)
    assert 'INFO|Running upgrade  -> ' in (numaplace.directory / 'numaplace.log').read_text()


@pytest.mark.parametrize('options', [[], ['--log-file', 'numaplace.log']], ids=['stderr', 'a log'])
def test_tracebacks_of_the_database_are_shown_by_debug_alone(numaplace, options):
    """oslo.db logs one of each error that it does not know."""
    (numaplace.directory / 'notes.txt').write_text('milk, eggs')
    words = (*options, '--database', 'sqlite:///notes.txt', 'host', 'list')
    assert (
        numaplace.spawn(*words).stderr == 'numaplace: database sqlite+pysqlite:///notes.txt: file is not a database\n'
    )
    assert 'exception wrapped' in numaplace.spawn('--debug', *words).stderr
