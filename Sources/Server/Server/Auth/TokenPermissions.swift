internal import MartletCrypto
internal import MartletEndpoints
internal import MartletPrimitives

/// What a token allows: its `can`, a list of `{do, on}` where each may be one word or a list of words.
internal struct TokenPermissions {
  private struct Permission {
    let actions: Set<String>
    let patterns: [PathPattern]
  }

  /// More would be looked through at every decision.
  private static let limit = 64
  private let permissions: [Permission]

  internal init(_ claims: JWTClaims) {
    permissions = (claims["can"]?.arrayValue ?? []).prefix(Self.limit).map { permission in
      Permission(
        actions: Set(Self.words(permission["do"])), patterns: Self.words(permission["on"]).prefix(Self.limit).compactMap(PathPattern.init))
    }
  }

  private static func words(_ value: JSON?) -> [String] {
    if let word = value?.stringValue { return [word] }
    return value?.arrayValue?.compactMap(\.stringValue) ?? []
  }

  internal func allow(_ action: AccessAction, on resource: String) -> Bool {
    permissions.contains { permission in
      permission.actions.contains(action.rawValue) && permission.patterns.contains { $0.matches(resource) }
    }
  }

  /// For the sentence of a refusal.
  internal var summary: String {
    let parts = permissions.prefix(5).map { permission in
      "\(permission.actions.sorted().joined(separator: "+")):\(permission.patterns.map(\.text).joined(separator: "+"))"
    }
    return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
  }
}
