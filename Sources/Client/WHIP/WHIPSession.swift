/// A session that a WHIP or WHEP server has taken. The server ends it with the media, and `close` ends it here.
public actor WHIPSession {
  /// SDP, of the offer that opened it.
  public nonisolated let answer: String
  /// Of this session's resource.
  public nonisolated let url: String
  /// For an ICE restart; the first attempt needs none, since the server can be reached.
  public nonisolated let iceServers: [ICEServer]
  private let client: WHIPClient
  private var description: String
  /// Of the present ICE session (RFC 9725 §4.3.1).
  private var tag: String?
  private var isClosed = false

  internal init(_ client: WHIPClient, resource: String, answer: String, tag: String?, servers: [ICEServer]) {
    (self.client, url, self.answer, description, self.tag, iceServers) = (client, resource, answer, answer, tag, servers)
  }

  /// Tells the server of candidates found after the offer (RFC 9725 §4.3.2). One that takes none is no error: it is reached, it
  /// does not reach out.
  /// - Parameters:
  ///   - candidates: `candidate:…` each
  ///   - description: the local one that they belong to
  ///   - isLast: that there are no more
  public func trickle(_ candidates: [String], of description: String, isLast: Bool = false) async throws(WHIPClient.Failure) {
    let fragment = TrickleText.fragment(of: description, candidates: candidates, isLast: isLast)
    let response = try await patch(fragment, tag.map { ["If-Match": $0] } ?? [:])
    guard response.isSuccess || [405, 422, 501].contains(response.status) else { throw await .refusal(by: response) }
  }

  /// ICE anew on the same session (RFC 9725 §4.3.3).
  /// - Parameter offer: made with `restartICE`
  /// - Returns: the answer to it
  public func restart(offer: String) async throws(WHIPClient.Failure) -> String {
    let response = try await patch(TrickleText.fragment(of: offer), ["If-Match": "*"])
    guard response.status == 200 else { throw await .refusal(by: response) }
    let fragment: String
    do throws(HTTPClient.Failure) { fragment = try await response.body.text(upTo: WHIPClient.limit) } catch { throw .init(error) }
    tag = response.headers["ETag"] ?? tag
    description = TrickleText.description(description, with: fragment)
    return description
  }

  /// Ends it on the server; what fails then is over too.
  public func close() async {
    guard !isClosed else { return }
    isClosed = true
    _ = try? await client.send("DELETE", to: url)
  }

  private func patch(_ fragment: String, _ headers: HTTPHeaders) async throws(WHIPClient.Failure) -> HTTPClient.Response {
    try await client.send("PATCH", to: url, fragment, TrickleText.mediaType, headers)
  }
}
