#include "CDashboard.h"

#pragma clang diagnostic ignored "-Wc23-extensions"
// clang-format off
static const unsigned char index_html[] = {
#embed "../../../Web/index.html"
};
static const unsigned char dashboard_js[] = {
#embed "../../../Web/dashboard.js"
};
static const unsigned char dashboard_css[] = {
#embed "../../../Web/dashboard.css"
};
static const unsigned char player_html[] = {
#embed "../../../Web/player.html"
};
static const unsigned char player_js[] = {
#embed "../../../Web/player.js"
};
static const unsigned char player_page_js[] = {
#embed "../../../Web/player-page.js"
};
// clang-format on

static const martlet_web_file files[] = {
    {"index.html", index_html, sizeof index_html},
    {"dashboard.js", dashboard_js, sizeof dashboard_js},
    {"dashboard.css", dashboard_css, sizeof dashboard_css},
    {"player.html", player_html, sizeof player_html},
    {"player.js", player_js, sizeof player_js},
    {"player-page.js", player_page_js, sizeof player_page_js},
    {0, 0, 0},
};

const martlet_web_file *martlet_web_files(void) { return files; }
