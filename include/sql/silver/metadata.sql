-- Where the newest metadata of an Iceberg table is, as the JDBC catalog keeps it.
SELECT metadata_location
FROM lake_catalog.iceberg_tables
WHERE catalog_name = %(catalog)s AND table_namespace = %(namespace)s AND table_name = %(table)s
