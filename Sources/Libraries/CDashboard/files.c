#include "CDashboard.h"

#pragma clang diagnostic ignored "-Wc23-extensions"
// clang-format off
static const unsigned char index_html[] = {
#embed "../../../Web/index.html"
};
static const unsigned char dashboard_css[] = {
#embed "../../../Web/dashboard.css"
};
static const unsigned char dashboard_js[] = {
#embed "../../../Web/dashboard.js"
};
static const unsigned char api_js[] = {
#embed "../../../Web/api.js"
};
static const unsigned char dom_js[] = {
#embed "../../../Web/dom.js"
};
static const unsigned char format_js[] = {
#embed "../../../Web/format.js"
};
static const unsigned char streams_js[] = {
#embed "../../../Web/streams.js"
};
static const unsigned char clients_js[] = {
#embed "../../../Web/clients.js"
};
static const unsigned char graph_js[] = {
#embed "../../../Web/graph.js"
};
static const unsigned char hints_js[] = {
#embed "../../../Web/hints.js"
};
static const unsigned char player_html[] = {
#embed "../../../Web/player.html"
};
static const unsigned char player_css[] = {
#embed "../../../Web/player.css"
};
static const unsigned char player_js[] = {
#embed "../../../Web/player.js"
};
static const unsigned char player_page_js[] = {
#embed "../../../Web/player-page.js"
};
static const unsigned char martlet_svg[] = {
#embed "../../../Web/martlet.svg"
};
static const unsigned char martlet_js[] = {
#embed "../../../Web/martlet.js"
};
static const unsigned char martlet_d_ts[] = {
#embed "../../../Web/martlet.d.ts"
};
static const unsigned char channels_html[] = {
#embed "../../../Web/channels.html"
};
static const unsigned char channels_js[] = {
#embed "../../../Web/channels.js"
};
static const unsigned char channels_css[] = {
#embed "../../../Web/channels.css"
};
static const unsigned char console_js[] = {
#embed "../../../Web/console.js"
};
static const unsigned char chat_html[] = {
#embed "../../../Web/chat.html"
};
static const unsigned char chat_js[] = {
#embed "../../../Web/chat.js"
};
static const unsigned char chat_css[] = {
#embed "../../../Web/chat.css"
};
static const unsigned char publish_html[] = {
#embed "../../../Web/publish.html"
};
static const unsigned char publish_css[] = {
#embed "../../../Web/publish.css"
};
static const unsigned char publish_js[] = {
#embed "../../../Web/publish.js"
};
static const unsigned char capture_js[] = {
#embed "../../../Web/capture.js"
};
static const unsigned char whip_js[] = {
#embed "../../../Web/whip.js"
};
static const unsigned char peer_stats_js[] = {
#embed "../../../Web/peer-stats.js"
};
static const unsigned char figures_js[] = {
#embed "../../../Web/figures.js"
};
static const unsigned char relays_js[] = {
#embed "../../../Web/relays.js"
};
static const unsigned char room_cards_js[] = {
#embed "../../../Web/room-cards.js"
};
static const unsigned char room_map_js[] = {
#embed "../../../Web/room-map.js"
};
static const unsigned char sessions_js[] = {
#embed "../../../Web/sessions.js"
};
static const unsigned char signaling_js[] = {
#embed "../../../Web/signaling.js"
};
static const unsigned char rooms_js[] = {
#embed "../../../Web/rooms.js"
};
static const unsigned char mesh_js[] = {
#embed "../../../Web/mesh.js"
};
static const unsigned char sfu_js[] = {
#embed "../../../Web/sfu.js"
};
static const unsigned char transfers_js[] = {
#embed "../../../Web/transfers.js"
};
static const unsigned char sha256_js[] = {
#embed "../../../Web/sha256.js"
};
static const unsigned char room_view_js[] = {
#embed "../../../Web/room-view.js"
};
static const unsigned char peer_quality_js[] = {
#embed "../../../Web/peer-quality.js"
};
static const unsigned char call_html[] = {
#embed "../../../Web/call.html"
};
static const unsigned char call_css[] = {
#embed "../../../Web/call.css"
};
static const unsigned char call_js[] = {
#embed "../../../Web/call.js"
};
static const unsigned char call_join_js[] = {
#embed "../../../Web/call-join.js"
};
static const unsigned char call_tiles_js[] = {
#embed "../../../Web/call-tiles.js"
};
static const unsigned char call_chat_js[] = {
#embed "../../../Web/call-chat.js"
};
static const unsigned char call_levels_js[] = {
#embed "../../../Web/call-levels.js"
};
static const unsigned char handover_js[] = {
#embed "../../../Web/handover.js"
};
static const unsigned char participant_js[] = {
#embed "../../../Web/participant.js"
};
// clang-format on

static const martlet_web_file files[] = {
    {"index.html", index_html, sizeof index_html},
    {"dashboard.css", dashboard_css, sizeof dashboard_css},
    {"dashboard.js", dashboard_js, sizeof dashboard_js},
    {"api.js", api_js, sizeof api_js},
    {"dom.js", dom_js, sizeof dom_js},
    {"format.js", format_js, sizeof format_js},
    {"streams.js", streams_js, sizeof streams_js},
    {"clients.js", clients_js, sizeof clients_js},
    {"graph.js", graph_js, sizeof graph_js},
    {"hints.js", hints_js, sizeof hints_js},
    {"player.html", player_html, sizeof player_html},
    {"player.css", player_css, sizeof player_css},
    {"player.js", player_js, sizeof player_js},
    {"player-page.js", player_page_js, sizeof player_page_js},
    {"martlet.svg", martlet_svg, sizeof martlet_svg},
    {"martlet.js", martlet_js, sizeof martlet_js},
    {"martlet.d.ts", martlet_d_ts, sizeof martlet_d_ts},
    {"channels.html", channels_html, sizeof channels_html},
    {"channels.js", channels_js, sizeof channels_js},
    {"channels.css", channels_css, sizeof channels_css},
    {"console.js", console_js, sizeof console_js},
    {"chat.html", chat_html, sizeof chat_html},
    {"chat.js", chat_js, sizeof chat_js},
    {"chat.css", chat_css, sizeof chat_css},
    {"publish.html", publish_html, sizeof publish_html},
    {"publish.css", publish_css, sizeof publish_css},
    {"publish.js", publish_js, sizeof publish_js},
    {"capture.js", capture_js, sizeof capture_js},
    {"whip.js", whip_js, sizeof whip_js},
    {"peer-stats.js", peer_stats_js, sizeof peer_stats_js},
    {"figures.js", figures_js, sizeof figures_js},
    {"relays.js", relays_js, sizeof relays_js},
    {"room-cards.js", room_cards_js, sizeof room_cards_js},
    {"room-map.js", room_map_js, sizeof room_map_js},
    {"sessions.js", sessions_js, sizeof sessions_js},
    {"signaling.js", signaling_js, sizeof signaling_js},
    {"rooms.js", rooms_js, sizeof rooms_js},
    {"mesh.js", mesh_js, sizeof mesh_js},
    {"sfu.js", sfu_js, sizeof sfu_js},
    {"transfers.js", transfers_js, sizeof transfers_js},
    {"sha256.js", sha256_js, sizeof sha256_js},
    {"peer-quality.js", peer_quality_js, sizeof peer_quality_js},
    {"call.html", call_html, sizeof call_html},
    {"call.css", call_css, sizeof call_css},
    {"call.js", call_js, sizeof call_js},
    {"call-join.js", call_join_js, sizeof call_join_js},
    {"room-view.js", room_view_js, sizeof room_view_js},
    {"call-tiles.js", call_tiles_js, sizeof call_tiles_js},
    {"call-chat.js", call_chat_js, sizeof call_chat_js},
    {"call-levels.js", call_levels_js, sizeof call_levels_js},
    {"handover.js", handover_js, sizeof handover_js},
    {"participant.js", participant_js, sizeof participant_js},
    {0, 0, 0},
};

const martlet_web_file *martlet_web_files(void) { return files; }
