# Marquee as an image: what each part runs is the argument.
#
#   docker build -t marquee .       with podman or buildah: --format docker, for the health check
#   docker build -t marquee-serve --target serve .      the server and the store's commands alone
#   docker build -t marquee-replica --target replica .  these, and `store push` and `pull` to S3
#   docker run -v marquee:/marquee/var -v /data:/data:ro marquee \
#       batch refresh --events /data/events                     one refresh
#   docker run -v marquee:/marquee/var -p 8080:8080 marquee     serve
#   docker run -v marquee:/marquee/var -v /data:/data:ro --no-healthcheck \
#       -v ./marquee.toml:/marquee/marquee.toml:ro marquee cron a refresh every night
#   docker run -v marquee:/marquee/var --no-healthcheck \
#       -v ./marquee.toml:/marquee/marquee.toml:ro marquee \
#       stream collect --fresh                              events from Kafka, and fresh lists
#
# The volume holds the store that they share, and posted events; a directory of the host in its place
# must belong to user 10001.

#
#   build ─┬─ serve-packages ───► serve      a target: annoy, bjoern, falcon, lmdb, nginx
#          ├─ replica-packages ─► replica    a target: and clients of S3 and HTTP, signatures
#          └─ all-packages ─────► all        the default: every command
FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libev-dev \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
# Annoy would be compiled for the very processor that builds the image, and die
# of an illegal instruction on an older one: its own options, without -march.
ENV ANNOY_COMPILER_ARGS=-std=c++14,-O3,-ffast-math,-fno-associative-math,-DANNOYLIB_MULTITHREADED_BUILD
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# The build lock holds the setuptools that builds annoy and bjoern; it stays behind.
COPY requirements-build.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements-build.lock

FROM build AS serve-packages
COPY requirements-serve.lock ./
RUN pip wheel --require-hashes --only-binary :all: --no-binary annoy,bjoern \
        --no-build-isolation --use-pep517 --wheel-dir /wheels -r requirements-serve.lock
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-index --no-deps /wheels/*.whl

FROM build AS replica-packages
COPY requirements-replica.lock ./
RUN pip wheel --require-hashes --only-binary :all: --no-binary annoy,bjoern \
        --no-build-isolation --use-pep517 --wheel-dir /wheels -r requirements-replica.lock
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-index --no-deps /wheels/*.whl

FROM build AS all-packages
COPY requirements.lock ./
RUN pip wheel --require-hashes --only-binary :all: --no-binary annoy,bjoern \
        --no-build-isolation --use-pep517 --wheel-dir /wheels -r requirements.lock
# The packages' own tests are a quarter of what would be installed.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-index --no-deps --no-compile /wheels/*.whl \
    && find /venv -type d -name tests -prune -exec rm -r {} + \
    && python -m compileall -q /venv

FROM python:3.11-slim-bookworm AS serve
# libev4 is for bjoern; nginx is the reverse proxy before the workers.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libev4 nginx \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN useradd --uid 10001 marquee && install -d -o marquee -g marquee /marquee/var
COPY --from=serve-packages /venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /marquee
# The version is read from pyproject.toml. Tests and benchmarks stay outside.
COPY pyproject.toml ./
COPY serve ./serve
COPY store ./store
USER 10001
VOLUME /marquee/var
EXPOSE 8080
# podman and buildah keep the health check only in Docker's format: build with `--format docker`.
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=5)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]
CMD ["serve", "--host", "0.0.0.0"]

FROM serve AS replica
COPY --from=replica-packages /venv /venv

FROM serve AS all
USER root
# libgomp1 is for implicit.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=all-packages /venv /venv
COPY batch ./batch
COPY stream ./stream
COPY cron ./cron
USER 10001
