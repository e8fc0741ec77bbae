"Everything is read from settings.ini, where nbdev keeps it."
import re
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=['='])
ini.read(here/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
readme = (here/'README.md').read_text(encoding='utf-8') if (here/'README.md').exists() else ''
raw = cfg['git_url'].replace('github.com', 'raw.githubusercontent.com')
readme = re.sub(r'!\[(.*?)\]\((?!https?:)', rf'![\1]({raw}/{cfg["branch"]}/', readme)  # PyPI shows the README alone
readme = re.sub(r'(?<!!)\[([^][]*)\]\((?!https?:|#)', rf'[\1]({cfg["git_url"]}/blob/{cfg["branch"]}/', readme)

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'].split(),
    author=cfg['author'], author_email=cfg['author_email'], url=cfg['git_url'], license='Apache-2.0',
    long_description=readme,
    long_description_content_type='text/markdown',
    packages=find_packages(include=[cfg['lib_path'], cfg['lib_path']+'.*'], exclude=[cfg['lib_path']+'.lab', cfg['lib_path']+'.lab.*']), python_requires='>='+cfg['min_python'],
    package_data={cfg['lib_path']: ['py.typed','weights/*']},
    install_requires=cfg['requirements'].split(), extras_require={k: cfg[k+'_requirements'].split() for k in ('train', 'deploy', 'deploy_gpu', 'cuda', 'timm', 'multi', 'lab', 'dev')},
    classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Developers', 'Intended Audience :: Science/Research',
                 'Natural Language :: English'] + [f'Programming Language :: Python :: 3.{v}' for v in range(10, 14)],
    entry_points=dict(console_scripts=cfg['console_scripts'].split(), nbdev=[f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"]),
    zip_safe=False)
