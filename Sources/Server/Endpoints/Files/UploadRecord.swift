internal import MartletCrypto
internal import MartletHTTP
internal import MartletPrimitives

/// How the state of an unfinished upload stands on the disk: JSON, one file for each.
internal enum UploadRecord {
  internal static let maximumBytes = 4 << 20

  internal static func write(_ state: UnfinishedUpload.State, user: String) -> [UInt8] {
    var object = JSON.Object()
    object["version"] = 1
    object["user"] = .string(user)
    if let length = state.length { object["length"] = .int(Int64(length)) }
    object["ranges"] = .string(state.ranges.description)
    if let digest = state.digest {
      object["digest"] = .string("\(digest.algorithm == .sha512 ? "sha-512" : "sha-256")=:\(Base64.encode(digest.value)):")
    }
    object["type"] = .string(state.contentType)
    object["metadata"] = .string(state.metadata)
    object["active"] = .int(state.active.milliseconds)
    return JSON.object(object).serialized
  }

  /// - Parameter available: bytes that the file has; a range that reaches beyond has not arrived.
  /// - Returns: `nil` for what nobody wrote this way.
  internal static func read(_ bytes: [UInt8], available: Int) -> (state: UnfinishedUpload.State, user: String)? {
    var limits = JSONLimits()
    limits.bytes = maximumBytes
    guard let json = try? JSON(parsing: bytes, limits: limits), json["version"]?.intValue == 1, let user = json["user"]?.stringValue,
      let text = json["ranges"]?.stringValue, var ranges = ByteRangeSet(parsing: text), let active = json["active"]?.intValue
    else { return nil }
    if ranges.end > available { ranges.remove(available..<ranges.end) }
    var state = UnfinishedUpload.State(active: WallTime(milliseconds: active))
    state.ranges = ranges
    if let length = json["length"]?.intValue {
      guard length >= 0, Int(length) >= ranges.end else { return nil }
      state.length = Int(length)
    }
    if let digest = json["digest"]?.stringValue {
      guard let field = try? DigestField.parse("Repr-Digest", in: ["Repr-Digest": digest]) else { return nil }
      state.digest = field
    }
    state.contentType = json["type"]?.stringValue ?? ""
    state.metadata = json["metadata"]?.stringValue ?? ""
    return (state, user)
  }
}
