import MartletClient
import MartletWebRTC

/// A session by WHIP (RFC 9725) or WHEP: one POST carries offer and answer.
public struct HTTPSession: Sendable {
  private let resource: String
  private let headers: HTTPHeaders

  /// Offers what `peer` has, with all its candidates, and waits until the two are connected.
  public init(_ url: String, _ peer: PeerConnection, token: String? = nil) async throws {
    headers = token.map { ["Authorization": "Bearer \($0)"] } ?? [:]
    try await peer.setLocalDescription()
    // Nobody else may read the events.
    for await event in peer.events { if case .candidate(nil) = event { break } }
    guard let offer = await peer.localDescription?.sdp else { throw MediaFileError("the connection was closed") }
    var headers = headers
    headers["Content-Type"] = "application/sdp"
    let response = try await HTTPClient.shared.post(url, .text(offer), headers: headers)
    let text = try await response.body.text()
    guard response.status == 201, let location = response.headers["Location"] else {
      throw MediaFileError("the server answered \(response.status): \(text)")
    }
    resource = location.contains("://") ? location : Self.origin(of: response.url) + location
    try await peer.setRemoteDescription(.init(.answer, sdp: text))
    try await peer.waitUntilConnected()
  }

  private static func origin(of url: String) -> String {
    url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3).joined(separator: "/")
  }

  /// Ends the session on the server too.
  public func close() async { _ = try? await HTTPClient.shared.send(.init(resource, method: "DELETE", headers: headers)) }
}
