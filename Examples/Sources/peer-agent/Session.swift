import Foundation
import MartletWebRTC
import MediaFiles

/// The peer connection and what was asked of it.
final class Session: Sendable {
  let peer: PeerConnection
  private let channels = Channels()
  private let tracks = Tracks()

  init(_ command: Command) throws {
    guard command.do == "start" else { throw AgentError("the first command is start") }
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    configuration.iceServers = (command.iceServers ?? []).map {
      .init(urls: $0.urls, username: $0.username ?? "", credential: $0.credential ?? "")
    }
    if command.relayOnly == true { configuration.iceTransportPolicy = .relay }
    configuration.usesUDP = command.udp ?? true
    configuration.tcpCandidates = command.tcp == "none" ? .none : command.tcp == "passive" ? .activeAndPassive : .active
    if let path = command.authority {
      configuration.turnTrust = .certificates(pem: try String(contentsOfFile: path, encoding: .utf8))
    }
    peer = try PeerConnection(configuration)
    Task { await follow() }
  }

  func obey(_ command: Command) async throws {
    switch command.do {
    case "offer":
      if command.restart == true {
        try await peer.setLocalDescription(try await peer.createOffer(restartICE: true))
      } else {
        try await peer.setLocalDescription()
      }
      await describe()
    case "description":
      guard let kind = command.type.flatMap(PeerConnection.SessionDescription.Kind.init) else { throw AgentError("no type") }
      try await peer.setRemoteDescription(.init(kind, sdp: command.sdp ?? ""))
      guard kind == .offer else { break }
      try await peer.setLocalDescription()
      await describe()
    case "candidate": try await peer.add(.init(command.candidate ?? "", mid: command.mid))
    case "channel":
      let channel = try await peer.createDataChannel(command.label ?? "")
      Task { [channels] in await channels.use(channel) }
    case "send": try await send(command)
    case "close channel": await channels.named(command.label ?? "")?.close()
    case "media": try await addMedia(command)
    case "statistics": await reportStatistics()
    case "close": await peer.close()
    default: throw AgentError("unknown command \(command.do)")
    }
  }

  private func describe() async {
    guard let description = await peer.localDescription else { return }
    tell(Report(event: "description", type: description.kind.rawValue, sdp: description.sdp))
  }

  private func send(_ command: Command) async throws {
    guard let channel = await channels.named(command.label ?? "") else { throw AgentError("no channel \(command.label ?? "")") }
    if let text = command.text { try await channel.send(text) }
    if let count = command.bytes { try await channel.send((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }) }
  }

  private func addMedia(_ command: Command) async throws {
    let kind = command.kind.flatMap(MediaTransceiver.Kind.init) ?? .video
    let direction = command.direction.flatMap(MediaTransceiver.Direction.init) ?? .sendrecv
    let transceiver = direction == .sendrecv ? try await peer.addTrack(kind) : try await peer.addTransceiver(kind, direction)
    let codec = command.codec ?? (kind == .video ? "VP8" : "opus")
    try await transceiver.setCodecPreferences([codec])
    if let path = command.record { await tracks.record(kind, codec, to: path) }
    guard let file = command.file else { return }
    Task { [peer] in
      do {
        try await peer.waitUntilConnected()
        while await transceiver.codecs.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        switch codec {
        case "VP8": try await play(IVFFile(path: file), on: transceiver, loops: true)
        case "G722": try await play(G722File(path: file), on: transceiver, loops: true)
        default: try await play(OggOpusFile(path: file), on: transceiver, loops: true)
        }
      } catch { tell(Report(event: "error", text: "\(file): \(error)")) }
    }
  }

  private func reportStatistics() async {
    let statistics = await peer.statistics
    tell(
      Report(
        event: "statistics", bytes: statistics.bytesReceived, local: statistics.localCandidateType, remote: statistics.remoteCandidateType,
        address: statistics.remoteAddress))
  }

  private func follow() async {
    for await event in peer.events {
      switch event {
      case .candidate(let candidate): tell(Report(event: "candidate", candidate: candidate?.candidate ?? "", mid: candidate?.mid))
      case .candidateError(let error): tell(Report(event: "candidate error", text: error.text, code: error.code, url: error.url))
      case .connectionState(let state): tell(Report(event: "state", text: state.rawValue))
      case .dataChannel(let channel): Task { await channels.use(channel) }
      case .track(let transceiver): Task { await tracks.receive(transceiver) }
      case .keyFrameRequested: tell(Report(event: "key frame requested"))
      default: break
      }
    }
  }
}

/// What the peer sends: it is counted, and written down where that was asked for.
actor Tracks {
  private var files: [MediaTransceiver.Kind: (codec: String, path: String)] = [:]
  private var known: [MediaTransceiver] = []

  func record(_ kind: MediaTransceiver.Kind, _ codec: String, to path: String) { files[kind] = (codec, path) }

  func receive(_ transceiver: MediaTransceiver) async {
    tell(Report(event: "track", kind: transceiver.kind.rawValue))
    // A track that is sent again is the same.
    guard !known.contains(transceiver) else { return }
    known.append(transceiver)
    let kind = transceiver.kind
    let file = files[kind]
    let pictures = file?.codec == "VP8" ? file.flatMap { try? IVFWriter(path: $0.path) } : nil
    let sound = file?.codec == "opus" ? file.flatMap { try? OggOpusWriter(path: $0.path) } : nil
    let plain = file?.codec == "G722" ? file.flatMap { try? G722Writer(path: $0.path) } : nil
    var count = 0
    for await frame in transceiver.frames {
      count += 1
      _ = try? pictures?.write(frame.data, timestamp: frame.timestamp, isKeyFrame: frame.isKeyFrame)
      try? sound?.write(frame.data)
      try? plain?.write(frame.data)
      if count == 1 || count % 25 == 0 { tell(Report(event: "frames", kind: kind.rawValue, frames: count)) }
    }
  }
}

/// The data channels, by their labels.
actor Channels {
  private var channels: [String: DataChannel] = [:]

  func named(_ label: String) -> DataChannel? { channels[label] }

  func use(_ channel: DataChannel) async {
    channels[channel.label] = channel
    guard await channel.waitUntilOpen() else { return tell(Report(event: "channel closed", label: channel.label)) }
    tell(Report(event: "channel", label: channel.label))
    for await message in channel.messages {
      switch message {
      case .text(let text): tell(Report(event: "message", text: text, label: channel.label))
      case .binary(let bytes):
        let sum = bytes.enumerated().reduce(UInt64(0)) { $0 &+ UInt64($1.offset + 1) &* UInt64($1.element) }
        tell(Report(event: "message", label: channel.label, bytes: bytes.count, sum: sum))
      }
    }
    tell(Report(event: "channel closed", label: channel.label))
  }
}

struct AgentError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
