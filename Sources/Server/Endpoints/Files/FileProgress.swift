internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives

/// Tells on the channel `files/NAME` how an upload goes: `{"event": "started" | "progress" | "complete" | "failed" |
/// "removed", "name": …, "received": …, "length": …}`. Nobody but the server publishes there.
internal final class FileProgress {
  private let hub: MessageHub
  private let context: LoopContext
  private var last: [FileName: Instant] = [:]
  /// Between two messages on one worker.
  private static let interval = TimeSpan.milliseconds(250)
  private static let remembered = 4096

  internal init(_ hub: MessageHub, in context: LoopContext) {
    self.hub = hub
    self.context = context
  }

  internal func started(_ name: FileName, length: Int?) {
    if last.count >= Self.remembered { last = [:] }
    last[name] = context.now
    publish("started", name, received: 0, length: length)
  }

  internal func moved(_ name: FileName, _ progress: (received: Int, length: Int?)) {
    if let before = last[name], context.now - before < Self.interval { return }
    if last.count >= Self.remembered { last = [:] }
    last[name] = context.now
    publish("progress", name, received: progress.received, length: progress.length)
  }

  internal func complete(_ file: StoredFile) {
    last[file.name] = nil
    publish("complete", file.name, received: file.size, length: file.size)
  }

  internal func failed(_ name: FileName, _ reason: String) {
    last[name] = nil
    publish("failed", name, ["reason": .string(reason)])
  }

  internal func removed(_ name: FileName) {
    last[name] = nil
    publish("removed", name, [:])
  }

  private func publish(_ event: String, _ name: FileName, received: Int, length: Int?) {
    publish(event, name, ["received": .int(Int64(received)), "length": length.map { .int(Int64($0)) } ?? .null])
  }

  private func publish(_ event: String, _ name: FileName, _ facts: KeyValuePairs<String, JSON>) {
    guard let channel = try? ChannelName("files/" + name.text) else { return }
    var object = JSON.Object()
    object["event"] = .string(event)
    object["name"] = .string(name.text)
    for (key, value) in facts { object[key] = value }
    let draft = Draft(.text, Slice(JSON.object(object).serialized), contentType: "application/json")
    hub.publish(draft, to: channel) { _ in }
  }
}
