package import MartletPrimitives

/// Conditional and range requests decided in the order of RFC 9110 §13.2.2, apart from any file system.
package struct Representation: Equatable, Sendable {
  /// Bytes.
  package var length: Int
  package var etag: EntityTag?
  package var lastModified: WallTime?

  package init(length: Int, etag: EntityTag? = nil, lastModified: WallTime? = nil) {
    self.length = length
    self.etag = etag
    self.lastModified = lastModified
  }
}

package enum ConditionalDecision: Equatable, Sendable {
  /// 200 with everything; for other methods than GET and HEAD: go on.
  case whole
  /// 304 without content.
  case notModified
  /// 412.
  case preconditionFailed
  /// 206 with one range.
  case part(Range<Int>)
  /// 206 as multipart/byteranges.
  case parts([Range<Int>])
  /// 416 with `Content-Range: bytes */LENGTH`.
  case unsatisfiable
}

extension HTTPRequest {
  /// - Parameters:
  ///   - representation: the current one; `nil` when the resource does not exist, as before a PUT creates it.
  ///   - now: for dates with two-digit years.
  package func evaluateConditions(on representation: Representation?, now: WallTime) -> ConditionalDecision {
    let reads = method == .get || method == .head
    if fields.contains("If-Match") {
      guard matches("If-Match", representation, strongly: true) else { return .preconditionFailed }
    } else if let since = date("If-Unmodified-Since", now), let modified = representation?.lastModified {
      guard modified.wholeSeconds <= since.wholeSeconds else { return .preconditionFailed }
    }
    if fields.contains("If-None-Match") {
      if matches("If-None-Match", representation, strongly: false) { return reads ? .notModified : .preconditionFailed }
    } else if reads, let since = date("If-Modified-Since", now), let modified = representation?.lastModified {
      if modified.wholeSeconds <= since.wholeSeconds { return .notModified }
    }
    // §14.2: Range is defined for GET only.
    guard method == .get, let representation, fields.all("Range").count == 1, let range = fields.first("Range"),
      rangeStillHolds(for: representation, now)
    else { return .whole }
    switch ByteRange.select(range, length: representation.length) {
    case .whole: return .whole
    case .unsatisfiable: return .unsatisfiable
    case .parts(let ranges): return ranges.count == 1 ? .part(ranges[0]) : .parts(ranges)
    }
  }

  private func matches(_ name: String, _ representation: Representation?, strongly: Bool) -> Bool {
    guard let representation else { return false }
    let values = fields.list(name)
    if values == ["*"] { return true }
    guard let etag = representation.etag else { return false }
    return values.contains { text in
      guard let other = EntityTag(parsing: text) else { return false }
      return strongly ? etag.matchesStrongly(other) : etag.matchesWeakly(other)
    }
  }

  /// A date that cannot be read, or comes twice, is ignored (§13.1.3).
  private func date(_ name: String, _ now: WallTime) -> WallTime? {
    let values = fields.all(name)
    return values.count == 1 ? HTTPDate.parse(values[0], now: now) : nil
  }

  /// `If-Range` (§13.1.5): a strong entity tag, or a date that is exactly the last modification.
  private func rangeStillHolds(for representation: Representation, _ now: WallTime) -> Bool {
    guard let validator = fields.first("If-Range") else { return true }
    if let etag = EntityTag(parsing: validator) { return representation.etag?.matchesStrongly(etag) ?? false }
    guard let date = HTTPDate.parse(validator, now: now), let modified = representation.lastModified else { return false }
    return date.wholeSeconds == modified.wholeSeconds
  }
}

extension WallTime {
  /// HTTP dates know no smaller unit.
  fileprivate var wholeSeconds: Int64 { milliseconds / 1000 }
}
