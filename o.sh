cd /tmp/h/png; export PYTHONPATH=/work/main/src:/work/main/tests
for i in $(seq 150); do /work/main/.venv/bin/python /tmp/h/png/diag2.py; [ $? = 7 ] && break; done
