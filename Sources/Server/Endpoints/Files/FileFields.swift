internal import MartletHTTP
internal import MartletPrimitives

/// The fields by which clients learn what has arrived, and those that keep a browser from running what somebody uploaded.
internal enum FileFields {
  internal static func location(_ name: FileName) -> String {
    "/files/" + name.text.split(separator: "/").map { PercentCoding.encodeSegment($0) }.joined(separator: "/")
  }

  internal static func json(_ file: StoredFile) -> JSON {
    [
      "name": .string(file.name.text), "size": .int(Int64(file.size)), "location": .string(location(file.name)),
      "etag": .string("\(EntityTag(file.version))"),
    ]
  }

  /// Ranges that are named at most: the client fills the gaps and asks again.
  private static let namedRanges = 64

  /// Of an upload: the first byte that is missing, and all ranges that are there.
  internal static func progress(_ status: UploadStatus) -> HTTPFields {
    var fields: HTTPFields = ["Upload-Complete": "?0", "Upload-Offset": "\(status.offset)"]
    if let length = status.length { fields.append("Upload-Length", "\(length)") }
    let ranges = status.ranges.ranges.prefix(namedRanges)
    if !ranges.isEmpty { fields.append("Range", "bytes=" + ranges.map { "\($0.lowerBound)-\($0.upperBound - 1)" }.joined(separator: ",")) }
    if status.expires.milliseconds > 0 { fields.append("Upload-Expires", HTTPDate.format(status.expires)) }
    return fields
  }

  internal static func progress(_ file: StoredFile) -> HTTPFields {
    ["Upload-Complete": "?1", "Upload-Offset": "\(file.size)", "Upload-Length": "\(file.size)"]
  }

  internal static func status(_ status: UploadStatus) -> HTTPFields {
    var fields = progress(status)
    fields.append("Cache-Control", "no-store")
    return fields
  }

  internal static func complete(_ file: StoredFile) -> HTTPFields {
    var fields = progress(file)
    fields.append("Location", location(file.name))
    fields.append("ETag", "\(EntityTag(file.version))")
    fields.append("Cache-Control", "no-store")
    return fields
  }

  internal static func protection(_ name: FileName) -> HTTPFields {
    [
      "Content-Disposition": ContentDisposition.attachment(name.last), "X-Content-Type-Options": "nosniff",
      "Content-Security-Policy": "sandbox; default-src 'none'",
    ]
  }
}

extension UploadTerms {
  /// What the request's fields say.
  internal init(_ request: HTTPRequest) throws(HTTPError) {
    let fields = request.fields
    if let coding = fields.first("Content-Encoding"), coding.lowercased() != "identity" {
      throw HTTPError(.unsupportedMediaType, "files are kept as they come: send without Content-Encoding")
    }
    contentLength = fields.first("Content-Length").flatMap { Int($0) }
    contentType = Self.contentType(fields.first("Content-Type"))
    contentDigest = try DigestField.parse("Content-Digest", in: fields)
    fileDigest = try DigestField.parse("Repr-Digest", in: fields)
    mustBeNew = fields.list("If-None-Match") == ["*"]
  }

  /// Empty for what names no type that somebody meant.
  internal static func contentType(_ value: String?) -> String {
    guard let value, value.utf8.count <= 128, value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { return "" }
    let essence = MediaTypeName.essence(of: value)
    let parts = essence.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }) else { return "" }
    let isNobodys = ["application/octet-stream", "application/x-www-form-urlencoded", "application/offset+octet-stream"].contains(essence)
    return isNobodys ? "" : value
  }
}
