internal import MartletICE

/// The body of a PATCH (`application/trickle-ice-sdpfrag`, RFC 8840 §9): credentials and candidates.
internal struct TrickleFragment {
  internal private(set) var fragment: String?
  internal private(set) var password: String?
  internal private(set) var candidates: [ICECandidate] = []
  internal private(set) var isLast = false

  internal static let mediaType = "application/trickle-ice-sdpfrag"
  /// Bytes, and lines with candidates, of a body.
  internal static let limit = 64 << 10
  private static let maximumCandidates = 64

  /// Lines that say nothing about ICE (`m=`, `a=mid`, `a=group`) are passed over: there is one transport.
  /// - Throws: for a line that does.
  internal init(_ text: String) throws(ICEError) {
    for line in text.split(whereSeparator: \.isNewline) {
      if line.hasPrefix("a=ice-ufrag:") {
        fragment = String(line.dropFirst(12))
      } else if line.hasPrefix("a=ice-pwd:") {
        password = String(line.dropFirst(10))
      } else if line.hasPrefix("a=candidate:") {
        guard candidates.count < Self.maximumCandidates else { throw .limit("candidates of a fragment", maximum: Self.maximumCandidates) }
        candidates.append(try ICECandidate(String(line)))
      } else if line == "a=end-of-candidates" {
        isLast = true
      }
    }
  }

  /// What the server answers an ICE restart with.
  internal static func answer(_ credentials: ICECredentials, candidates: [ICECandidate]) -> String {
    let lines =
      ["a=ice-lite", "a=ice-options:trickle", "a=ice-ufrag:\(credentials.fragment)", "a=ice-pwd:\(credentials.password)"]
      + candidates.map { "a=\($0)" } + ["a=end-of-candidates"]
    return lines.joined(separator: "\r\n") + "\r\n"
  }
}
