"""pgvector in a PostgreSQL of its own: vectors and bits, by their distance from those of the first text."""

import psycopg
from cases import KEY, MODEL, TEXTS, URL, run
from openai import OpenAI
from pgvector import Bit, Vector
from pgvector.psycopg import register_vector
from postgres import postgres

TABLE = "CREATE TABLE texts (id int PRIMARY KEY, vector vector(384), bits bit(384))"
INDEXES = (
    "CREATE INDEX ON texts USING hnsw (vector vector_cosine_ops)",
    "CREATE INDEX ON texts USING hnsw (vector vector_ip_ops)",
    "CREATE INDEX ON texts USING hnsw (bits bit_hamming_ops)",
)


def embed(output_dtype: str) -> list[list[float]]:
    client = OpenAI(base_url=f"{URL}/v1", api_key=KEY)
    extra = {"output_dtype": output_dtype}
    answer = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float", extra_body=extra)
    return [item.embedding for item in answer.data]


def search() -> dict[str, list]:
    """The vectors as they are stored, and each text's number and distance, the nearest first."""
    vectors = [Vector(each) for each in embed("float")]
    bits = [Bit(bytes(map(int, each))) for each in embed("ubinary")]
    with postgres() as address, psycopg.connect(address) as database:
        database.execute("CREATE EXTENSION vector")
        register_vector(database)
        for command in (TABLE, *INDEXES):
            database.execute(command)
        rows = list(zip(range(len(TEXTS)), vectors, bits, strict=True))
        database.cursor().executemany("INSERT INTO texts VALUES (%s, %s, %s)", rows)
        stored = database.execute("SELECT vector FROM texts ORDER BY id").fetchall()

        def nearest(distance: str, query: Vector | Bit) -> list[tuple[int, float]]:
            command = f"SELECT id, {distance} FROM texts ORDER BY {distance}"
            return database.execute(command, {"query": query}).fetchall()

        database.execute("SET enable_seqscan = off")  # four rows would not be worth an index
        return {
            "stored": [vector.to_list() for (vector,) in stored],
            "cosine": nearest("vector <=> %(query)s", vectors[0]),
            "inner_product": nearest("vector <#> %(query)s", vectors[0]),
            "hamming": nearest("bits <~> %(query)s", bits[0]),
        }


if __name__ == "__main__":
    run(search)
