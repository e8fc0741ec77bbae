.PHONY: run check docs check-docs test
# One or more notebooks, top to bottom, with all that follows from them: make run NB=nbs/1_idea/06_ach.ipynb
run:
	python .ci/chapter.py $(NB)
# Are package, notebooks and README in step? Nothing is run
check:
	python .ci/chapter.py --check
# The site. Quarto is not installed by us: see https://quarto.org/docs/get-started/
docs:
	@command -v quarto > /dev/null || { echo "make docs: needs Quarto, which is not installed; see https://quarto.org/docs/get-started/. 'make check-docs' goes without"; exit 1; }
	touch README.md  # ours is made from the index by .ci/readme.py; nbdev would make another if it looked older
	nbdev_docs
	python .ci/site.py check _docs
# The same checks on pages made without Quarto, in _check/
check-docs:
	python .ci/site.py check
test:
	CUDA_VISIBLE_DEVICES= nbdev_test --do_print
