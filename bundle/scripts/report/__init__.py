"""From results to what people look at: tables in the docs, pictures of scans."""
