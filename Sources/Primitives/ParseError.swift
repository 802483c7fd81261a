/// Why bytes from a peer were not accepted. Parsers throw this; a protocol machine wraps it in its own error.
///
/// The network never traps: whatever a peer sends ends here, with the offset at which it went wrong.
public enum ParseError: Error, Equatable, Sendable {
  /// Fewer bytes than a field needs; `at` is the offset of the field, `needed` its size in bytes.
  case truncated(at: Int, needed: Int)
  /// A field holds a value the specification does not allow.
  case invalid(_ what: String, at: Int)
  /// A length, count or depth above its configured limit.
  case limit(_ what: String, maximum: Int)
}

extension ParseError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .truncated(let at, let needed): "truncated at byte \(at): \(needed) more bytes expected"
    case .invalid(let what, let at): "\(what) at byte \(at)"
    case .limit(let what, let maximum): "\(what) exceeds the limit of \(maximum)"
    }
  }
}
