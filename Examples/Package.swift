// swift-tools-version: 6.2
import PackageDescription

// Small programs that see Martlet as yours would: through its products alone. `traits: []` leaves FFmpeg's libraries out; with
// the default traits a server can also make its demo picture and snapshots.
let client = Target.Dependency.product(name: "MartletClient", package: "Martlet")
let webRTC = Target.Dependency.product(name: "MartletWebRTC", package: "Martlet")
let server = Target.Dependency.product(name: "MartletServer", package: "Martlet")

let package = Package(
  name: "Examples",
  dependencies: [.package(name: "Martlet", path: "..", traits: [])],
  targets: [
    .target(name: "Pacing", dependencies: [client]),
    .target(name: "Lines"),
    .target(name: "MediaFiles", dependencies: [client, webRTC]),
    .target(name: "Meeting", dependencies: [client, webRTC]),
    .executableTarget(name: "chat", dependencies: [client, "Lines"]),
    .executableTarget(name: "follow", dependencies: [client, "Lines"]),
    .executableTarget(name: "talk", dependencies: [client, "Lines"]),
    .executableTarget(name: "peer-chat", dependencies: [webRTC, "Lines", "Meeting"]),
    .executableTarget(name: "peer-file", dependencies: [webRTC, "Lines", "Meeting"]),
    .executableTarget(name: "peer-publish", dependencies: [webRTC, "Lines", "MediaFiles"]),
    .executableTarget(name: "peer-record", dependencies: [webRTC, "Lines", "MediaFiles"]),
    .executableTarget(name: "peer-agent", dependencies: [webRTC, "Lines", "MediaFiles"]),
    .executableTarget(name: "room-bot", dependencies: [client, webRTC, "Lines"]),
    .executableTarget(name: "room-play", dependencies: [client, "Lines", "MediaFiles"]),
    .executableTarget(name: "room-record", dependencies: [client, webRTC, "Lines", "MediaFiles"]),
    .executableTarget(name: "publish-file", dependencies: [client, "Pacing"]),
    .executableTarget(name: "watch", dependencies: [client]),
    .executableTarget(name: "fetch", dependencies: [client]),
    .executableTarget(name: "embedded-server", dependencies: [client, server, "Pacing"]),
  ],
  swiftLanguageModes: [.v6]
)
