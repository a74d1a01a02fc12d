# Marquee as an image: what each part runs is the argument.
#
#   docker build -t marquee .       with podman or buildah: --format docker, for the health check
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

FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libev-dev \
    && rm -rf /var/lib/apt/lists/*
# Annoy would be compiled for the very processor that builds the image, and die
# of an illegal instruction on an older one: its own options, without -march.
ENV ANNOY_COMPILER_ARGS=-std=c++14,-O3,-ffast-math,-fno-associative-math,-DANNOYLIB_MULTITHREADED_BUILD
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements.lock requirements-build.lock ./
# The build lock holds the setuptools that builds annoy and bjoern; it stays behind.
RUN pip install --require-hashes --only-binary :all: -r requirements-build.lock
RUN pip wheel --require-hashes --only-binary :all: --no-binary annoy,bjoern \
        --no-build-isolation --use-pep517 --wheel-dir /wheels -r requirements.lock
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-index --no-deps /wheels/*.whl

FROM python:3.11-slim-bookworm
# libev4 for bjoern, libgomp1 for implicit; nginx is the reverse proxy before the workers.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libev4 libgomp1 nginx \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 marquee && install -d -o marquee -g marquee /marquee/var
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /marquee
# The version is read from pyproject.toml. Tests and benchmarks stay outside.
COPY pyproject.toml ./
COPY batch ./batch
COPY stream ./stream
COPY serve ./serve
COPY store ./store
COPY cron ./cron
USER marquee
VOLUME /marquee/var
EXPOSE 8080
# podman and buildah keep the health check only in Docker's format: build with `--format docker`.
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=5)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]
CMD ["serve", "--host", "0.0.0.0"]
