# One image for the API, the dashboard and the workers; compose.yaml says how they stand together.

FROM python:3.12-slim AS build
# Where files may not be written, as in compose.yaml, Python would compile them anew at every start.
ENV UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir uv && uv venv /opt/tasoc
WORKDIR /source
COPY pyproject.toml requirements.lock ./
# The libraries first, in a layer that stays while only our own code changes.
RUN uv pip install --no-cache --python /opt/tasoc/bin/python -c requirements.lock \
    -r pyproject.toml --extra api --extra cluster --extra movie --extra postgres --extra s3 --extra seismology --extra targets
COPY README.md LICENSE ./
COPY catalogs catalogs
COPY notebooks notebooks
COPY tasoc_kit tasoc_kit
RUN uv pip install --no-cache --python /opt/tasoc/bin/python --no-deps .

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home --home-dir /var/lib/tasoc --shell /usr/sbin/nologin tasoc
COPY --from=build /opt/tasoc /opt/tasoc
ENV PATH=/opt/tasoc/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    TASOC_STORE=/var/lib/tasoc/store \
    TASOC_CACHE=/var/lib/tasoc/cache \
    TASOC_DATA=/var/lib/tasoc/data \
    NUMBA_CACHE_DIR=/var/lib/tasoc/cache/numba
USER 10001
WORKDIR /var/lib/tasoc
RUN mkdir store cache data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health')"]
CMD ["tasoc", "api", "--address", "0.0.0.0", "--port", "8000"]
