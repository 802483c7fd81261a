import MartletPrimitives
import MartletSTUN

/// As much of a TURN server as its client needs to be tested: challenges, lifetimes, and what it was asked.
struct TURNServerDouble {
  var key = STUNKey.longTerm(username: "ann", realm: "example.org", password: "secret")
  var nonce = "nonce-1"
  /// Offered with the challenge, together with the nonce cookie that protects it.
  var algorithms: [PasswordAlgorithm]?
  var integrity = STUNIntegrity.sha1
  var lifetime: UInt32 = 600
  /// Answers these methods with an error.
  var refusals: [STUNMethod: Int] = [:]
  /// Of relayed addresses.
  var hasIPv6 = false
  private(set) var requests: [STUNMessage] = []

  static let relayed = SocketAddress(ip: .v4(0xC633_6401), port: 49_152)
  static let mapped = SocketAddress(ip: .v4(0xCB00_7105), port: 5000)

  mutating func answer(_ bytes: [UInt8]) throws(STUNError) -> [UInt8] {
    let received = try ReceivedSTUNMessage(parsing: bytes.span.bytes)
    let request = received.message
    requests.append(request)
    guard received.hasIntegrity, request.nonce != nil else { return challenge(request, 401) }
    guard let key, received.isAuthentic(bytes.span.bytes, key), received.integrity == integrity else { return challenge(request, 401) }
    guard request.nonce == nonce else { return challenge(request, 438) }
    let isForeign = request.attributes.contains(.requestedAddressFamily(.v6)) && !hasIPv6
    if let code = refusals[request.method] ?? (isForeign ? STUNErrorCode.familyNotSupported : nil) {
      return STUNMessage(.error, request.method, request.transaction, [.errorCode(STUNErrorCode(code, "no"))])
        .encoded(key: key, integrity: integrity)
    }
    var attributes: [STUNAttribute] = []
    if [.allocate, .refresh].contains(request.method) { attributes.append(.lifetime(lifetime)) }
    if request.method == .allocate { attributes += [.xorRelayedAddress(Self.relayed), .xorMappedAddress(Self.mapped)] }
    return STUNMessage(.success, request.method, request.transaction, attributes).encoded(key: key, integrity: integrity)
  }

  private func challenge(_ request: STUNMessage, _ code: Int) -> [UInt8] {
    let offer = algorithms.map { [STUNAttribute.passwordAlgorithms($0)] } ?? []
    return STUNMessage(
      .error, request.method, request.transaction, [.errorCode(STUNErrorCode(code)), .realm("example.org"), .nonce(nonce)] + offer
    ).encoded()
  }
}
