internal import COpenSSL

/// OpenSSL's thread-local error queue, emptied at each look so that no failure is ever told as another's.
internal struct OpenSSLFailure {
  /// `ERR_GET_REASON` of the first error; 0 when there was none.
  let code: Int32
  let reason: String

  static func clear() { ERR_clear_error() }

  /// Takes the queue's oldest error, the cause of the others, and drops the rest.
  static func take(_ fallback: String = "unknown failure") -> OpenSSLFailure {
    let error = ERR_get_error()
    ERR_clear_error()
    guard error != 0 else { return OpenSSLFailure(code: 0, reason: fallback) }
    let text = ERR_reason_error_string(error).map { String(cString: $0) }
    // ERR_GET_REASON is a macro: the low 23 bits hold the reason.
    return OpenSSLFailure(code: Int32(truncatingIfNeeded: error & 0x7F_FFFF), reason: text ?? fallback)
  }
}
