internal import MartletIO
package import MartletHTTP
package import MartletPrimitives

/// Bytes in memory that are served like a file: conditional requests, ranges, and gzip where it pays.
package struct StaticContent: Sendable {
  private let bytes: Slice
  private let compressed: Slice?
  private let contentType: String
  private let etag: EntityTag
  /// For `Cache-Control`.
  private let caching: String
  private let extra: HTTPFields
  private let modified: WallTime?

  /// - Parameters:
  ///   - etag: changes whenever the bytes do.
  ///   - gzip: the same content compressed, when that has been done before.
  package init(
    _ bytes: Slice, contentType: String, etag: String, caching: String = "no-cache", extra: HTTPFields = [:], modified: WallTime? = nil,
    gzip: Slice? = nil
  ) {
    self.bytes = bytes
    self.contentType = contentType
    self.caching = caching
    self.extra = extra
    self.etag = EntityTag(etag)
    self.modified = modified
    compressed = gzip ?? (MediaType.isCompressible(contentType) && bytes.count > 512 ? Slice(Deflater.compress(bytes.array)) : nil)
  }

  /// Bytes that it holds in memory.
  internal var size: Int { bytes.count + (compressed?.count ?? 0) }

  package func respond(_ exchange: HTTPExchange) {
    let request = exchange.request
    var fields: HTTPFields = ["Content-Type": contentType, "Cache-Control": caching]
    fields.append(contentsOf: extra)
    if compressed != nil { fields.insert("Vary", token: "Accept-Encoding") }
    let isCompressed = compressed != nil && !request.fields.contains("Range") && AcceptEncoding.choose(request.fields) == "gzip"
    let content = isCompressed ? compressed ?? bytes : bytes
    let tag = isCompressed ? EntityTag(etag.value + "-gz") : etag
    fields.append("ETag", "\(tag)")
    if let modified { fields.append("Last-Modified", HTTPDate.format(modified)) }
    if isCompressed { fields.append("Content-Encoding", "gzip") } else { fields.append("Accept-Ranges", "bytes") }
    let representation = Representation(length: content.count, etag: tag, lastModified: modified)
    switch request.evaluateConditions(on: representation, now: exchange.context.wallTime) {
    case .notModified: exchange.respond(.notModified, fields)
    case .preconditionFailed: exchange.respond(.preconditionFailed, fields)
    case .unsatisfiable: exchange.respond(416, ["Content-Range": "bytes */\(content.count)"])
    case .part(let range):
      fields.append("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(content.count)")
      exchange.respond(.partialContent, fields, content.sub(range))
    // Several ranges at once: RFC 9110 §14.2 lets a server answer with the whole.
    case .whole, .parts: exchange.respond(.ok, fields, content)
    }
  }
}
