/// Media types by file name, and which of them gain from compression.
package enum MediaType {
  package static let octets = "application/octet-stream"

  /// The `Content-Type` for a file name; `application/octet-stream` when its extension is not known.
  package static func of(fileName: String) -> String {
    guard let dot = fileName.lastIndex(of: ".") else { return octets }
    return byExtension[fileName[fileName.index(after: dot)...].lowercased()] ?? octets
  }

  /// `text/html` of `Text/HTML; charset=utf-8` (RFC 9110 §8.3.1).
  package static func essence(of type: String) -> String { type.prefix { $0 != ";" }.trimmed.lowercased() }

  /// Text in one form or another; media is compressed already.
  package static func isCompressible(_ type: String) -> Bool {
    let essence = essence(of: type)
    return essence.hasPrefix("text/") || essence.hasSuffix("+json") || essence.hasSuffix("+xml")
      || ["application/json", "application/javascript", "application/xml", "application/wasm", "application/vnd.apple.mpegurl"].contains(
        essence)
  }

  private static let byExtension: [String: String] = [
    "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8", "json": "application/json",
    "map": "application/json", "txt": "text/plain; charset=utf-8", "md": "text/markdown; charset=utf-8",
    "csv": "text/csv; charset=utf-8", "xml": "application/xml", "yaml": "application/yaml", "wasm": "application/wasm",
    "webmanifest": "application/manifest+json", "pdf": "application/pdf", "zip": "application/zip", "gz": "application/gzip",
    "svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "avif": "image/avif", "ico": "image/x-icon", "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf",
    "m3u8": "application/vnd.apple.mpegurl", "ts": "video/mp2t", "m4s": "video/iso.segment", "mp4": "video/mp4", "m4v": "video/mp4",
    "m4a": "audio/mp4", "flv": "video/x-flv", "webm": "video/webm", "mkv": "video/x-matroska", "aac": "audio/aac", "mp3": "audio/mpeg",
    "ogg": "audio/ogg", "opus": "audio/ogg", "wav": "audio/wav", "vtt": "text/vtt; charset=utf-8", "mpd": "application/dash+xml",
  ]
}
