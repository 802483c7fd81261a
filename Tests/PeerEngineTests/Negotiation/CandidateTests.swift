import MartletICE
import MartletPeerEngine
import MartletSDP
import Testing

@Suite struct CandidateTests {
  private let text = "candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host"

  private func offered() throws -> (NegotiatingPeer, NegotiatingPeer) {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "audio")
    try a.negotiation.addTrack(.video, "video")
    try b.negotiation.setRemoteDescription(.offer, try carried(try a.negotiation.setLocalDescription().session))
    (_, _) = (a.taken(), b.taken())
    return (a, b)
  }

  // RFC 8829 §4.1.19, RFC 8838 §4
  @Test func `candidates wait for the answer, then pass through`() throws {
    var (_, b) = try offered()
    try b.negotiation.addRemoteCandidate(text, mid: "0")
    #expect(b.taken().isEmpty)
    try b.negotiation.setLocalDescription()
    #expect(b.taken().names == ["connect", "candidate", "media", "stable"])
    #expect(b.negotiation.remoteDescription?.media[0].candidates == [String(text.dropFirst(10))])
    try b.negotiation.addRemoteCandidate("2" + text.dropFirst(11), section: 0)
    try b.negotiation.addRemoteCandidate("", mid: "0")
    #expect(b.taken().names == ["candidate", "end"])
  }

  // RFC 8843 §8
  @Test func `candidates of transports that the bundle made superfluous are left out`() throws {
    var (_, b) = try offered()
    try b.negotiation.addRemoteCandidate(text, mid: "0")
    try b.negotiation.addRemoteCandidate(text.replacing("5000", with: "5001"), mid: "1")
    try b.negotiation.setLocalDescription()
    #expect(b.taken().names.filter { $0 == "candidate" }.count == 1)
    try b.negotiation.addRemoteCandidate(text.replacing("5000", with: "5002"), mid: "1")
    #expect(b.taken().isEmpty)
  }

  @Test func `candidates that all stand in another section are taken`() throws {
    var (_, b) = try offered()
    try b.negotiation.addRemoteCandidate(text, mid: "1")
    try b.negotiation.setLocalDescription()
    #expect(b.taken().names.contains("candidate"))
  }

  // RFC 8839 §5.1: ufrag
  @Test func `a candidate belongs to a generation`() throws {
    var (a, b) = try offered()
    try a.negotiation.setRemoteDescription(.answer, try b.negotiation.setLocalDescription().session)
    (_, _) = (a.taken(), b.taken())
    let old = a.local.fragment
    try a.negotiation.restartICE()
    try b.negotiation.setRemoteDescription(.offer, try a.negotiation.setLocalDescription().session)
    a.drain()
    _ = b.taken()
    try b.negotiation.addRemoteCandidate(text + " ufrag \(a.local.fragment)", mid: "0")
    #expect(b.taken().isEmpty)
    try b.negotiation.addRemoteCandidate(text, mid: "0", fragment: old)
    #expect(b.taken().names == ["candidate"])
    #expect(throws: NegotiationError.self) { try b.negotiation.addRemoteCandidate(text, mid: "0", fragment: "none") }
    try b.negotiation.setLocalDescription()
    #expect(b.taken().names == ["restart", "connect", "candidate", "media", "stable"])
  }

  @Test func `a candidate that cannot be is an OperationError`() throws {
    var (_, b) = try offered()
    let lines = text + " x y\nm=z"
    let wrong: [(String, String?, Int?)] = [("x", "0", nil), (text, "9", nil), (text, nil, 7), (text, nil, -1), (lines, "0", nil)]
    for (text, mid, section) in wrong {
      #expect(throws: NegotiationError.self) { try b.negotiation.addRemoteCandidate(text, mid: mid, section: section) }
    }
    for port in 0..<64 { try b.negotiation.addRemoteCandidate(text.replacing("5000", with: "\(port + 1)")) }
    #expect(throws: NegotiationError.limit("remote candidates", maximum: 64)) { try b.negotiation.addRemoteCandidate(text) }
  }
}
