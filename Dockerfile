# One image for the operator, the orchestrator and the example agents, and a base for agents:
# three lines, in docs/install.md.
#
# Needs no BuildKit: it is also built where no registry can be reached, on a base made there.
# No HEALTHCHECK: what is healthy depends on the command, and Kubernetes asks by the chart's probes.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN apt-get -qq update && apt-get -qq install --no-install-recommends binutils >/dev/null
WORKDIR /src
COPY requirements.lock ./
# Everything of the lock, by its hashes; what is installed below is chosen from these files only.
RUN python -m pip download --quiet --require-hashes --no-deps --only-binary :all: \
      --requirement requirements.lock --dest /wheels
RUN python -m venv --without-pip /opt/paddock/venv && python -m venv /build \
 && /build/bin/pip install --quiet --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md LICENSE ./
COPY runner runner
COPY orchestrator orchestrator
COPY operator operator
# What is left out: the Kubernetes client's generated models, half of everything and never imported,
# what only highlights or tests other people's code, sources of what is compiled, and debug symbols.
RUN /build/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /build/bin/pip --python /opt/paddock/venv/bin/python install --quiet --no-index --no-compile \
      --find-links /wheels "paddock[all]" \
 && cd /opt/paddock/venv/lib/python3*/site-packages \
 && rm -r kubernetes/client/api/*_api.py kubernetes/client/models/*_*.py \
      kubernetes/aio/client/api/*_api.py kubernetes/aio/client/models/*_*.py \
      pygments/lexers/[a-z]*.py pygments/lexers/_*_builtins.py \
      sqlalchemy/testing alembic/testing greenlet/tests websocket/tests \
 && find . -name '*_test.py' -delete -o -name '*.py[xi]' -delete -o -name '*.pxd' -delete -o -name '*.[ch]' -delete \
 && find . -name '*.so' -exec strip --strip-unneeded {} +

FROM ${BASE}
COPY --from=build /opt/paddock/venv /opt/paddock/venv
COPY examples/hello.py examples/demo/agent.py /opt/paddock/examples/
ENV PATH=/opt/paddock/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp
# Without a name the user's group would be root's. The root file system is read-only at run time:
# what starts is compiled now, and nothing else is.
RUN echo "paddock:x:65532:65532::/tmp:/usr/sbin/nologin" >>/etc/passwd \
 && echo "paddock:x:65532:" >>/etc/group \
 && for command in operator orchestrator crds may-uninstall run call status; do \
      paddock $command --help >/dev/null || exit 1; done \
 && python -c "import paddock_orchestrator.main, paddock_operator.backends.kubernetes.operator, paddock.bot" \
 && python -c "import prometheus_client"
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/paddock
USER 65532:65532
ENTRYPOINT ["paddock"]
