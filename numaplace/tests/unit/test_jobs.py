# SPDX-License-Identifier: Apache-2.0
"""What the continuous integration refers to exists: playbooks, environments of tox, jobs, scripts."""

import configparser
import os
import re
from pathlib import Path

import pytest
import yaml

#: The source tree: tox names it where the package is installed.
SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))
ZUUL = SOURCE / '.zuul.yaml'

pytestmark = pytest.mark.skipif(not ZUUL.is_file(), reason='there is no source tree around the package')

#: What jobs may build on, and the tests of one Python each, are defined elsewhere.
PARENTS = {'base', 'devstack-tox-functional', 'openstack-tox'}
PYTHONS = re.compile(r'openstack-tox-py(3)(\d+)')


def _items(kind):
    return [item[kind] for item in yaml.safe_load(ZUUL.read_text('utf-8')) if kind in item]


def _jobs():
    return {job['name']: job for job in _items('job')}


def _pipelines():
    (project,) = _items('project')
    return {name: pipeline['jobs'] for name, pipeline in project.items() if name != 'queue'}


def _ini(name):
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(SOURCE / name, 'utf-8')
    return ini


def _environments(job):
    """Return the tox environments of a job; without any of its own, those of its parent."""
    jobs = _jobs()
    while 'tox_envlist' not in job.get('vars', {}):
        job = jobs[job['parent']]
    return re.split(r',\s*', job['vars']['tox_envlist'])


def _run_jobs():
    return {name: job for name, job in _jobs().items() if not job.get('abstract')}


def _playbooks(job):
    for moment in ('pre-run', 'run', 'post-run'):
        paths = job.get(moment, [])
        yield from [paths] if isinstance(paths, str) else paths


def test_there_are_jobs_and_one_project_and_nothing_else():
    items = yaml.safe_load(ZUUL.read_text('utf-8'))
    assert {('job',), ('project',)} == {tuple(item) for item in items}
    assert len(_items('job')) == len(_jobs())


def test_a_job_says_what_it_does_and_builds_on_one_that_exists():
    for name, job in _jobs().items():
        assert name.startswith('numaplace-')
        assert job['description'].rstrip().endswith('.')
        assert job['parent'] in PARENTS | _jobs().keys()


def test_a_playbook_of_a_job_exists_and_every_playbook_is_of_a_job():
    used = {SOURCE / path for job in _jobs().values() for path in _playbooks(job)}
    assert used == set((SOURCE / 'playbooks').rglob('*.yaml'))


def test_a_playbook_is_a_list_of_plays_that_do_something():
    for path in (SOURCE / 'playbooks').rglob('*.yaml'):
        for play in yaml.safe_load(path.read_text('utf-8')):
            assert play['name']
            assert play['hosts']
            assert all(task['name'] for task in play['tasks'])


def test_what_a_job_calls_irrelevant_exists_and_holds_nothing_that_runs():
    directories = ('benchmarks', 'debian', 'devstack', 'doc', 'numaplace', 'releasenotes', 'tools')
    paths = [*SOURCE.iterdir(), *(path for name in directories for path in (SOURCE / name).rglob('*'))]
    files = [str(path.relative_to(SOURCE)) for path in paths if path.is_file()]
    for name, job in _jobs().items():
        for pattern in job.get('irrelevant-files', []):
            matching = [file for file in files if re.search(pattern, file)]
            assert matching, f'{name}: {pattern}'
            assert not [file for file in matching if file.startswith(('devstack/plugin', 'numaplace/', 'tools/'))]


def test_a_job_runs_environments_that_tox_has():
    known = {name for section in _ini('tox.ini').sections() for name in _expand(section.removeprefix('testenv:'))}
    for name, job in _run_jobs().items():
        assert set(_environments(job)) <= known, name


def test_what_jobs_name_of_the_tree_on_their_nodes_exists():
    texts = [path.read_text('utf-8') for path in (ZUUL, *(SOURCE / 'playbooks').rglob('*.yaml'))]
    named = {path for text in texts for path in re.findall(r"(?:/opt/stack|}})/numaplace/([^\s'\"]+)", text)}
    assert named
    assert all((SOURCE / path).is_file() for path in named), named


def test_every_environment_that_tox_runs_is_run_by_a_job():
    run = {environment for job in _run_jobs().values() for environment in _environments(job)}
    pythons = {name.removeprefix('openstack-tox-') for name in _pipelines()['gate'] if PYTHONS.fullmatch(name)}
    tox = _ini('tox.ini')['tox']
    real = re.search(r'^real = (.*)$', tox['labels'], re.MULTILINE)[1]
    listed = re.findall(r'(?:[^,\s{]|\{.*?\})+', f'{tox["env_list"]}, {real}')
    assert {name for pattern in listed for name in _expand(pattern)} <= run | pythons | {'py3'}


def _expand(pattern):
    """Return the environments that a name with alternatives in braces stands for."""
    head, brace, rest = pattern.partition('{')
    choices, _, tail = rest.partition('}')
    if not brace:
        return [pattern]
    return [name for choice in choices.split(',') for name in _expand(f'{head}{choice}{tail}')]


def test_every_python_that_is_supported_has_a_job():
    classifiers = _ini('setup.cfg')['metadata']['classifiers']
    supported = set(re.findall(r'Python :: (3)\.(\d+)$', classifiers, re.MULTILINE))
    for jobs in _pipelines().values():
        assert supported == {match.groups() for job in jobs if (match := PYTHONS.fullmatch(job))}


def test_what_is_checked_is_what_guards_the_gate_and_is_all_there_is():
    pipelines = _pipelines()
    assert {'check', 'gate'} == pipelines.keys()
    assert pipelines['check'] == pipelines['gate']
    run = {job for job in pipelines['gate'] if not PYTHONS.fullmatch(job)}
    assert run == _run_jobs().keys()


def test_every_shell_script_is_linted():
    scripts = {
        str(path.relative_to(SOURCE))
        for directory in ('.ci', 'devstack', 'numaplace', 'playbooks', 'tools')
        for path in (SOURCE / directory).rglob('*')
        if path.is_file()
        and re.search(rb'^(?:#!.*\b(?:ba)?sh\b|# shellcheck shell=bash)', path.read_bytes()[:200], re.MULTILINE)
    }
    assert scripts == set(_ini('tox.ini')['testenv:style']['shell_scripts'].replace('\\', '').split())
