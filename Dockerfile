# docker build -t tlog .
# docker run --rm -v tlog:/data tlog init /data/log --origin log.example.com
# docker run -d -p 8080:8080 -v tlog:/data tlog
#
# docker build -t witness --target witness .
# docker run --rm -v witness:/data witness init /data/witness --name witness.example.org/w1
# docker run -d --name witness -p 7380:7380 -v witness:/data witness
# docker exec witness witness add-log /data/witness --url https://log.example.com --vkey VKEY
#
# Everything that pip installs is pinned by hash. To pin the base as well, name it by digest:
# --build-arg PYTHON=python:3.12-slim@sha256:…
ARG PYTHON=python:3.12-slim

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
RUN python -m venv /opt/tlog
ENV PATH=/opt/tlog/bin:$PATH
WORKDIR /src
COPY requirements-image.lock ./
RUN pip install --require-hashes -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY tlog ./tlog
COPY witness ./witness
RUN pip install --no-deps --no-build-isolation .

# Common to the log and the witness: the installed packages, a user without rights, a place for data.
FROM ${PYTHON} AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin tlog \
    && install -d -o tlog -g tlog -m 0700 /data
COPY --from=build /opt/tlog /opt/tlog
ENV PATH=/opt/tlog/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data

FROM runtime AS witness
EXPOSE 7380
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "from http.client import HTTPConnection as C; c = C('127.0.0.1', 7380, timeout=4); c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["witness"]
CMD ["serve", "/data/witness", "--listen", "0.0.0.0:7380"]

# The last stage is what `docker build` makes without --target.
FROM runtime AS log
EXPOSE 8080
# Health is asked for without a proxy, whatever the environment names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080, timeout=4); c.request('GET', '/api/v1/health'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["tlog"]
# Below the volume's top, where some file systems keep a lost+found: init wants an empty directory.
CMD ["serve", "/data/log", "--listen", "0.0.0.0:8080"]
